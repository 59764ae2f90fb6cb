// SPDX-License-Identifier: Apache-2.0
//
// The tables of fault_bench: what each measures, and how its figures are compared.
#pragma once

#include <string>
#include <vector>

#include "tests/bench/fault_lab.h"
#include "tests/bench/report.h"

namespace faultline::bench {

/// An aim of the project that a run tells about. Text, not a test.
struct Aim {
  enum class Sense : uint8_t { kAtMost, kAtLeast };
  std::string what;
  double figure;
  Sense sense;
  double aim;
};

/// Faults of all threads in one VMA and in own ones, in both contents, and the kernel's.
void PrintRates(Lab& lab, Report& report, std::vector<Aim>& aims);
/// One thread's faults beside a far mapper, one that touches, and a merging one, in an mm of few
/// and of many VMAs, and the kernel's.
void PrintMappers(Lab& lab, Report& report, std::vector<Aim>& aims);
/// Beside a far mapper that works more and more of the time: who is disturbed, and from where on
/// spf_mm_seq loses (BEHAVIOURS E6).
void PrintDuties(Lab& lab, Report& report);
void PrintAims(const std::vector<Aim>& aims, Report& report);

/// Policies of table allocation under `scheme`, by touches and free memory (BEHAVIOURS E10, E11).
void PrintPolicies(const FaultBenchOptions& options, const FaultOptions& scheme, Report& report);
/// Whether faults can live on what another task frees, by how fast it does (E13): those that retry
/// without sleeping (A7) beside those that reclaim directly.
void PrintFreer(const FaultBenchOptions& options, const FaultOptions& scheme, Report& report);

}  // namespace faultline::bench

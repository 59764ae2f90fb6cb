// SPDX-License-Identifier: Apache-2.0
//
// What happens when the simulation does not differ but aborts: a failed check ends the process,
// and the sequence that led there must not be lost with it. The handler of SIGABRT and SIGSEGV
// shrinks it, each candidate in a process of its own (the program itself with --replay), and
// prints what is left.
//
// A crash is synchronous: it happens on the one thread that also runs the oracle, inside of a
// subject, so the handler may do what any function may.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "tests/oracle/operation.h"

namespace faultline::oracle {

struct CrashOptions {
  std::string mode;                // the values of --mode and --against
  std::string against;             //
  std::vector<std::string> flags;  // what else the run was told about the simulation
  std::string seed;                // what to print about where the sequence came from
  std::chrono::seconds budget{0};  // of shrinking
};

/// From now on a crash is reported, and ends with exit code 1.
void ReportCrashes(CrashOptions options);

/// While it lives, its operations are those that lead to a crash.
class CrashTrail {
 public:
  CrashTrail();
  ~CrashTrail();
  CrashTrail(const CrashTrail&) = delete;
  CrashTrail& operator=(const CrashTrail&) = delete;

  /// To be called before the operation is carried out.
  void Add(const Operation& op) { ops_.push_back(op); }
  [[nodiscard]] const std::vector<Operation>& ops() const { return ops_; }

 private:
  CrashTrail* outer_;
  std::vector<Operation> ops_;
};

}  // namespace faultline::oracle

// SPDX-License-Identifier: Apache-2.0
//
// Implementation of fault_lab.h.
#include "tests/bench/fault_lab.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <absl/strings/str_format.h>

namespace faultline::bench {
namespace {

constexpr uint32_t kCpus = 16;  ///< more than threads, so that each has per-CPU lists of its own

Mm& NewMm(Machine& machine, const FaultOptions& scheme, uint32_t page_table_levels) {
  const auto mm = machine.CreateMm({.fault = scheme, .page_table_levels = page_table_levels});
  if (!mm.ok()) {
    absl::FPrintF(stderr, "fault_bench: no mm under %s: %s\n", Name(scheme.scheme),
                  WhyRefused(scheme).value_or("memory is short"));
    std::exit(1);
  }
  return **mm;
}

int MostThreads(const std::vector<int>& threads) {
  return *std::max_element(threads.begin(), threads.end());
}

}  // namespace

MachineOptions MachineFor(uint64_t pages, PageContents contents) {
  constexpr uint64_t kSlack = 512ull << 20;
  return {.memory_bytes = 2 * pages * kPageSize + kSlack, .cpus = kCpus, .contents = contents};
}

std::unique_ptr<Machine> NewMachine(const MachineOptions& options) {
  auto machine = Machine::Create(options);
  if (!machine.ok()) {
    absl::FPrintF(stderr, "fault_bench: no machine with %d bytes\n", options.memory_bytes);
    std::exit(1);
  }
  return *std::move(machine);
}

OwnMm::OwnMm(Machine& machine, const FaultOptions& scheme, uint32_t page_table_levels)
    : mm_(NewMm(machine, scheme, page_table_levels)), world_(machine, mm_) {}

Lab::Lab(const FaultBenchOptions& options)
    : options_(options), crew_(std::max(2, MostThreads(options.threads))) {
  const auto most = static_cast<uint64_t>(MostThreads(options.threads));
  for (const PageContents contents : {PageContents::kTag, PageContents::kBytes}) {
    machines_[contents] = NewMachine(MachineFor(most * options.touches, contents));
    for (const FaultOptions& scheme : options.schemes) {
      mms_[contents].push_back(
          std::make_unique<OwnMm>(*machines_[contents], scheme, options.page_table_levels));
    }
  }
}

}  // namespace faultline::bench

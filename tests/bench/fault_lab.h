// SPDX-License-Identifier: Apache-2.0
//
// What fault_bench measures: an mm for each scheme and kind of page contents, the running kernel,
// and the threads that fault in them. The mms of one kind share a machine, so that every scheme
// gets its frames from the same lists.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "tests/bench/fault_window.h"
#include "tests/bench/rounds.h"

namespace faultline::bench {

struct FaultBenchOptions {
  RoundOptions rounds;
  std::vector<int> threads{1, 2};
  std::vector<FaultOptions> schemes;          ///< each with its policies
  uint64_t touches = (64 << 20) / kPageSize;  ///< of a thread in a phase
  uint32_t page_table_levels = 4;
  bool kernel = true;  ///< measure the running kernel, too
};

/// A machine whose memory is enough for that many pages, their tables, and what RCU has yet to
/// free.
[[nodiscard]] MachineOptions MachineFor(uint64_t pages, PageContents contents);
[[nodiscard]] std::unique_ptr<Machine> NewMachine(const MachineOptions& options);

/// An mm that lasts as long as its world.
class OwnMm {
 public:
  OwnMm(Machine& machine, const FaultOptions& scheme, uint32_t page_table_levels);
  ~OwnMm() { mm_.DropUser(); }
  OwnMm(const OwnMm&) = delete;
  OwnMm& operator=(const OwnMm&) = delete;

  [[nodiscard]] World& world() { return world_; }

 private:
  Mm& mm_;
  OurWorld world_;
};

class Lab {
 public:
  explicit Lab(const FaultBenchOptions& options);
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  /// Of options().schemes[scheme].
  [[nodiscard]] World& Of(size_t scheme, PageContents contents) {
    return mms_.at(contents)[scheme]->world();
  }
  [[nodiscard]] World& kernel() { return kernel_; }
  [[nodiscard]] Crew& crew() { return crew_; }
  [[nodiscard]] const FaultBenchOptions& options() const { return options_; }

 private:
  const FaultBenchOptions options_;
  Crew crew_;
  std::map<PageContents, std::unique_ptr<Machine>> machines_;
  std::map<PageContents, std::vector<std::unique_ptr<OwnMm>>> mms_;
  KernelWorld kernel_;
};

}  // namespace faultline::bench

// SPDX-License-Identifier: Apache-2.0
//
// Where fault_bench's faults happen: an mm of ours under some scheme, or this process under the
// running kernel. Both get the same ranges, as offsets from a base of their own, so that a window
// runs the same program on either.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/machine/machine.h"
#include "tests/bench/fault_bench_stats.h"

namespace faultline::bench {

/// Pages to be touched once each, in order.
struct Touches {
  uint64_t offset = 0;
  uint64_t count = 0;
  uint64_t stride = kPageSize;
};

struct Touched {
  uint64_t done = 0;
  uint64_t failed = 0;  ///< of `done`, those that ended with a signal
};

/// Map, Unmap, WriteFaults and ReclaimEntries may be called by several threads at once. What cannot
/// fail here ends the program if it does.
class World {
 public:
  World() = default;
  virtual ~World() = default;
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// Maps private anonymous memory, writable, where nothing is mapped.
  virtual void Map(uint64_t offset, uint64_t bytes) = 0;
  virtual void Unmap(uint64_t offset, uint64_t bytes) = 0;
  /// One write fault for each touch, until `over`, which is looked at now and then.
  virtual Touched WriteFaults(const Touches& touches, const std::atomic<bool>& over) = 0;
  /// Waits until what was unmapped before has been given back. While no fault is under way.
  virtual void Settle() = 0;
  /// Right before a phase's faults and right after them, on one thread.
  virtual void BeforeFaults() {}
  virtual void AfterFaults() {}
  /// While no fault is under way.
  virtual FaultCounts Counts() = 0;
  /// How often direct reclaim was entered, by whomever. At any time.
  virtual uint64_t ReclaimEntries() { return 0; }
};

/// An mm of ours; it and its machine outlive the world.
class OurWorld : public World {
 public:
  OurWorld(Machine& machine, Mm& mm) : machine_(machine), mm_(mm) {}

  void Map(uint64_t offset, uint64_t bytes) override;
  void Unmap(uint64_t offset, uint64_t bytes) override;
  Touched WriteFaults(const Touches& touches, const std::atomic<bool>& over) override;
  void Settle() override;
  FaultCounts Counts() override { return ReadFaultCounts(machine_, mm_); }
  uint64_t ReclaimEntries() override;

 private:
  Machine& machine_;
  Mm& mm_;
};

/// This process. One at a time: it uses addresses that were free when it was made.
class KernelWorld : public World {
 public:
  KernelWorld();

  void Map(uint64_t offset, uint64_t bytes) override;
  void Unmap(uint64_t offset, uint64_t bytes) override;
  Touched WriteFaults(const Touches& touches, const std::atomic<bool>& over) override;
  void Settle() override {}
  FaultCounts Counts() override { return {}; }

 private:
  bool refuse_huge_pages_;  ///< the kernel gives huge pages unasked
  char* base_;
};

}  // namespace faultline::bench

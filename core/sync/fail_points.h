// SPDX-License-Identifier: Apache-2.0
//
// Fault injection: makes the Nth allocation fail, once or from then on (Linux: failslab and
// fail_page_alloc). Every allocation of the core passes a FailPoints with the site that it is, so a
// test can run an operation again and again, failing one allocation further each time, until none
// is left to fail. That is how every error return is reached.
//
// Armed and disarmed while nobody else allocates, or by the task under test itself. Guarantee:
// unarmed, a site costs one relaxed load of a word that nobody writes.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/base/build.h"
#include "core/sync/task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// What is being allocated.
enum class FailSite : uint8_t {
  kHeap,   ///< small objects: VMAs, tree nodes, anon_vmas, ...
  kFrame,  ///< frames for data
  kTable,  ///< frames for page tables
  kCount
};

class FailPoints {
 public:
  enum class Mode : uint8_t { kOnce, kForEver };
  /// All sites; one bit for each.
  static constexpr uint32_t kAllSites = (1u << static_cast<uint32_t>(FailSite::kCount)) - 1;

  /// The `nth` allocation from now on (1 is the next) at one of `sites` fails, and, for ever, all
  /// behind it. Returns how many failed since the Arm before. Allocations may go on meanwhile:
  /// those that count beside it count for one of the two, or for neither. One caller at a time.
  uint64_t Arm(uint64_t nth, Mode mode, uint32_t sites = kAllSites) {
    sites_.store(0, std::memory_order_relaxed);
    mode_.store(mode, std::memory_order_relaxed);
    left_.store(nth, std::memory_order_relaxed);
    const uint64_t failed = failed_.exchange(0, std::memory_order_relaxed);
    sites_.store(sites, std::memory_order_relaxed);
    return failed;
  }
  void Disarm() { sites_.store(0, std::memory_order_relaxed); }

  /// Asked by each allocation: true if it has to fail. In a NoWaitScope all at the sites do, and
  /// none counts: what was to allocate there is done again without the scope, and counts then.
  [[nodiscard]] bool ShouldFail(FailSite site) {
    const uint32_t sites = sites_.load(std::memory_order_relaxed);
    if (sites == 0) [[likely]] {
      return false;
    }
    return ShouldFailArmed(sites, site);
  }

  /// How many allocations failed since Arm.
  [[nodiscard]] uint64_t failed() const { return failed_.load(std::memory_order_relaxed); }

 private:
  [[nodiscard]] FAULTLINE_NOINLINE bool ShouldFailArmed(uint32_t sites, FailSite site) {
    if ((sites & (1u << static_cast<uint32_t>(site))) == 0) return false;
    if (CurrentTask().no_wait != 0) return true;
    uint64_t left = left_.load(std::memory_order_relaxed);
    // Counts down to 0, where it stays.
    while (left != 0 && !left_.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) {
    }
    const bool fails =
        left == 1 || (left == 0 && mode_.load(std::memory_order_relaxed) == Mode::kForEver);
    if (fails) failed_.fetch_add(1, std::memory_order_relaxed);
    return fails;
  }

  // std::atomic: which allocation fails is an instruction to the machine, no part of it. Relaxed:
  // switches order nothing.
  std::atomic<uint32_t> sites_{0};
  std::atomic<uint64_t> left_{0};
  std::atomic<uint64_t> failed_{0};
  std::atomic<Mode> mode_{Mode::kOnce};
};

}  // namespace faultline

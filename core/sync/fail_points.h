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
  /// behind it.
  void Arm(uint64_t nth, Mode mode, uint32_t sites = kAllSites) {
    failed_.store(0, std::memory_order_relaxed);
    mode_ = mode;
    left_.store(nth, std::memory_order_relaxed);
    sites_.store(sites, std::memory_order_relaxed);
  }
  void Disarm() { sites_.store(0, std::memory_order_relaxed); }

  /// Asked by each allocation: true if it has to fail.
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
    const uint64_t left = left_.load(std::memory_order_relaxed);
    if (left > 1) {
      left_.store(left - 1, std::memory_order_relaxed);
      return false;
    }
    if (left == 0 && mode_ == Mode::kOnce) return false;
    left_.store(0, std::memory_order_relaxed);
    failed_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }

  // std::atomic: which allocation fails is an instruction to the machine, no part of it. Relaxed:
  // switches order nothing.
  std::atomic<uint32_t> sites_{0};
  std::atomic<uint64_t> left_{0};
  std::atomic<uint64_t> failed_{0};
  Mode mode_ = Mode::kOnce;
};

}  // namespace faultline

// SPDX-License-Identifier: Apache-2.0
//
// How long the stress tests run. The same sources are built twice: core_sync_stress_test for every
// run, and core_sync_long_stress_test (label long) with FAULTLINE_LONG_STRESS.

#pragma once

#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// How often to do something that is quick: about `rounds`, fewer under a sanitizer.
constexpr int StressRounds(int rounds) {
#ifdef FAULTLINE_LONG_STRESS
  rounds *= 30;
#endif
  return kTsan || kAsan ? rounds / 3 + 1 : 2 * rounds;
}

/// A seed for this run, printed so that a failure can be tried again.
inline uint64_t StressSeed() {
  const uint64_t seed = std::random_device()();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

/// All combinations of fairness, hand-off and spinning.
inline std::vector<RwSemPolicy> AllRwSemPolicies() {
  std::vector<RwSemPolicy> policies;
  for (const bool fair : {true, false}) {
    for (const bool handoff : {true, false}) {
      for (const uint32_t spin : {0u, 200u}) {
        policies.push_back({.fair = fair, .handoff = handoff, .spin = {spin}});
      }
    }
  }
  return policies;
}

inline std::string NameOf(const RwSemPolicy& policy) {
  return std::string(policy.fair ? "Fair" : "Unfair") + (policy.handoff ? "Handoff" : "Wake") +
         "Spin" + std::to_string(policy.spin.iterations);
}

}  // namespace faultline

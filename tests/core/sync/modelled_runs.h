// SPDX-License-Identifier: Apache-2.0
//
// For tests of the modelled build: runs a body as a scenario of its own, straight through or under
// every schedule within a bound, and tells what was found.

#pragma once

#include <optional>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "core/sync/atomic_step.h"
#include "core/sync/lock_rank.h"
#include "core/sync/modelled/report.h"
#include "core/sync/modelled/search.h"
#include "core/sync/mutex.h"
#include "core/sync/rw_sem.h"
#include "core/sync/spin_lock.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

using OuterMutex = Mutex<LockRank::kTestOuter>;
using OuterSem = RwSem<LockRank::kTestOuter>;
using MiddleMutex = Mutex<LockRank::kTestMiddle>;
using InnerLock = SpinLock<LockRank::kTestInner>;

inline constexpr ExecutionOptions kWholeLocks{.detail = LockDetail::kNone};

[[nodiscard]] inline SearchSubject SubjectFor(Execution::Body body,
                                              const ExecutionOptions& options = kWholeLocks) {
  return {.identity = {.scenario = "test"}, .execution = options, .body = std::move(body)};
}

/// Runs `body` once, never switching without need.
[[nodiscard]] inline ReplayResult RunStraight(Execution::Body body,
                                              const ExecutionOptions& options = kWholeLocks) {
  return ReplayRun(SubjectFor(std::move(body), options), {});
}

/// Searches every schedule of `body` within preemption bound 2.
[[nodiscard]] inline SearchResult SearchAll(Execution::Body body,
                                            const ExecutionOptions& options = kWholeLocks) {
  return Explore(SubjectFor(std::move(body), options), {});
}

/// Expects that a straight run of `body` ends in a violation of that kind whose message contains
/// `message`.
inline void ExpectViolation(ViolationKind kind, const std::string& message, Execution::Body body,
                            const ExecutionOptions& options = kWholeLocks) {
  const ReplayResult result = RunStraight(std::move(body), options);
  ASSERT_TRUE(result.violation.has_value()) << "nothing was reported, expected " << Name(kind);
  EXPECT_EQ(Name(result.violation->kind), Name(kind)) << result.table;
  EXPECT_NE(result.violation->message.find(message), std::string::npos) << result.table;
}

/// Expects that some schedule of `body` ends so, and not the one that never switches.
inline void ExpectViolationInSomeSchedule(ViolationKind kind, const std::string& message,
                                          const Execution::Body& body,
                                          const ExecutionOptions& options = kWholeLocks) {
  const SearchResult result = SearchAll(body, options);
  ASSERT_TRUE(result.finding.has_value()) << "nothing was found, expected " << Name(kind);
  EXPECT_EQ(Name(result.finding->violation.kind), Name(kind)) << result.finding->table;
  EXPECT_NE(result.finding->violation.message.find(message), std::string::npos)
      << result.finding->table;
  EXPECT_GT(result.finding->schedule, 1u);
}

/// Expects that no schedule of `body` within preemption bound 2 ends in a violation.
inline void ExpectClean(const Execution::Body& body,
                        const ExecutionOptions& options = kWholeLocks) {
  const SearchResult result = SearchAll(body, options);
  EXPECT_TRUE(result.complete);
  if (result.finding.has_value()) ADD_FAILURE() << result.finding->table;
}

}  // namespace faultline

// SPDX-License-Identifier: Apache-2.0
//
// Searches and replays over the API: what is found is what faultline-explore finds, what was found
// can be replayed, cancelling ends a search within a few schedules, and bad fields are named.
//
// Searches are small: a planted bug that the first hundred schedules show.
#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultline/v1/lab.pb.h"
#include "tests/server/lab_world.h"

namespace faultline::server {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

v1::ExploreRequest Searching(const std::string& text) { return FromText<v1::ExploreRequest>(text); }

/// The result of a search that goes well.
v1::ExploreResult ResultOf(LabWorld& world, const std::string& text) {
  const auto search = Explore(world, Searching(text));
  EXPECT_TRUE(search.status.ok()) << search.status.error_message();
  EXPECT_FALSE(search.messages.empty());
  return search.messages.empty() ? v1::ExploreResult() : search.messages.back().result();
}

struct Replayed {
  v1::ReplayResponse response;
  grpc::Status status;
};
Replayed ReplayOf(LabWorld& world, const std::string& replay, uint32_t times = 0) {
  v1::ReplayRequest request;
  request.set_replay(replay);
  request.set_times(times);
  Replayed replayed;
  grpc::ClientContext context;
  replayed.status = world.stub().Replay(&context, request, &replayed.response);
  return replayed;
}

TEST(ListScenariosTest, TellsAllOfThemInPages) {
  LabWorld world;
  v1::ListScenariosRequest request;
  request.set_page_size(7);
  std::set<std::string> names;
  int pages = 0;
  do {
    grpc::ClientContext context;
    v1::ListScenariosResponse response;
    ASSERT_TRUE(world.stub().ListScenarios(&context, request, &response).ok());
    EXPECT_NE(response.instance_epoch(), 0);
    EXPECT_EQ(response.mutants_size() > 0, pages == 0);
    EXPECT_LE(response.scenarios_size(), 7);
    for (const auto& scenario : response.scenarios()) {
      EXPECT_TRUE(names.insert(scenario.name()).second) << scenario.name();
      EXPECT_FALSE(scenario.description().empty());
    }
    request.set_page_token(response.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_THAT(names, Contains("lock_order"));
  EXPECT_THAT(names, Contains("fault_vs_munmap_upper"));
}

TEST(ListScenariosTest, ATokenOfAnotherListIsRefused) {
  LabWorld world;
  v1::ListScenariosRequest request;
  request.set_page_token("7");
  grpc::ClientContext context;
  v1::ListScenariosResponse response;
  const grpc::Status status = world.stub().ListScenarios(&context, request, &response);
  EXPECT_EQ(DetailOf(status).reason(), v1::ERROR_REASON_INVALID_PAGE_TOKEN);
}

TEST(ExploreTest, FindsAPlantedBugThatCanBeReplayed) {
  LabWorld world;
  const auto result = ResultOf(world, "scenario: 'lock_order' mutant: 'abba_order'");
  ASSERT_TRUE(result.has_finding());
  EXPECT_EQ(result.finding().violation().kind(), v1::VIOLATION_KIND_LOCK_ORDER);
  EXPECT_EQ(result.finding().schedule(), result.schedules());
  EXPECT_FALSE(result.finding().table().empty());

  const Replayed replayed = ReplayOf(world, result.finding().replay(), 3);
  ASSERT_TRUE(replayed.status.ok()) << replayed.status.error_message();
  EXPECT_NE(replayed.response.instance_epoch(), 0);
  EXPECT_EQ(replayed.response.divergence(), "");
  EXPECT_EQ(replayed.response.violation().message(), result.finding().violation().message());
  EXPECT_EQ(replayed.response.table(), result.finding().table());
}

TEST(ExploreTest, TheRightCodeIsCleanWithinTheBound) {
  LabWorld world;
  const auto result = ResultOf(world, "scenario: 'spin_lock' search { bound: 1 }");
  EXPECT_FALSE(result.has_finding());
  EXPECT_TRUE(result.complete());
  EXPECT_GT(result.schedules(), 1);
  EXPECT_THAT(result.summary(), HasSubstr("preemption bound 1, complete"));
  EXPECT_THAT(result.summary(), Not(HasSubstr("proved")));
}

TEST(ExploreTest, SchemesAndPoliciesReachTheScenario) {
  LabWorld world;
  const std::string upper = "scenario: 'fault_vs_munmap_upper' mutant: 'm1' search { bound: 1 } ";
  EXPECT_TRUE(ResultOf(world, upper + "options { scheme: SCHEME_RCU_CONTINUE }").has_finding());
  EXPECT_FALSE(ResultOf(world, upper + "options { scheme: SCHEME_MMAP_LOCK }").has_finding());
  const std::string cold = "scenario: 'fault_vs_munmap_cold' mutant: 'm9' search { bound: 1 } ";
  const auto found = ResultOf(world, cold + "options { pgtable_alloc: TABLE_ALLOC_PREALLOC_ALL }");
  ASSERT_TRUE(found.has_finding());
  EXPECT_THAT(found.finding().replay(), HasSubstr("prealloc_all"));
}

TEST(ExploreTest, RandomSearchesHaveTheirBudget) {
  LabWorld world;
  const auto result = ResultOf(
      world,
      "scenario: 'mutex' search { strategy: SEARCH_STRATEGY_PCT max_schedules: 50 seed: 3 }");
  EXPECT_EQ(result.schedules(), 50);
  EXPECT_FALSE(result.complete());
  EXPECT_THAT(result.summary(), HasSubstr("seed 3"));
}

TEST(ExploreTest, ACancelledSearchGivesTheNextItsTurn) {
  LabWorld world;
  const std::string endless =
      "scenario: 'speed' search { strategy: SEARCH_STRATEGY_PCT max_schedules: 1000000000 } "
      "progress_interval_ns: 10000000";
  uint64_t schedules = 0;
  const auto search =
      Explore(world, Searching(endless),
              [&](const v1::ExploreResponse& message, grpc::ClientContext& context) {
                schedules = message.progress().schedules();
                context.TryCancel();
              });
  EXPECT_EQ(search.status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_GT(schedules, 0);
  EXPECT_TRUE(ResultOf(world, "scenario: 'spin_lock' search { bound: 0 }").complete());
}

TEST(ExploreTest, EveryFieldThatIsWrongIsNamed) {
  LabWorld world;
  const auto refusal = [&](const std::string& text) {
    return RefusalOf(Explore(world, Searching(text)).status);
  };
  EXPECT_EQ(refusal(""), "NOT_FOUND scenario = ");
  EXPECT_EQ(refusal("scenario: 'none'"), "NOT_FOUND scenario = none");
  const std::string mutex = "scenario: 'mutex' ";
  EXPECT_THAT(refusal(mutex + "options { scheme: SCHEME_VMA_LOCK }"),
              HasSubstr("OUT_OF_RANGE options = "));
  EXPECT_THAT(refusal("scenario: 'fault_vs_munmap_cold' options { scheme: SCHEME_RCU_RESTART "
                      "pgtable_alloc: TABLE_ALLOC_EAGER }"),
              HasSubstr("REFUSED_COMBINATION options"));
  EXPECT_EQ(refusal(mutex + "mutant: 'm999'"), "NOT_FOUND mutant = m999");
  EXPECT_EQ(refusal(mutex + "mutant: 'none'"), "NOT_FOUND mutant = none");
  EXPECT_EQ(refusal(mutex + "search { bound: 101 }"), "OUT_OF_RANGE search.bound = 101");
  EXPECT_EQ(refusal(mutex + "search { pct_depth: 101 }"), "OUT_OF_RANGE search.pct_depth = 101");
  EXPECT_EQ(refusal(mutex + "search { max_schedules: 1000000001 }"),
            "OUT_OF_RANGE search.max_schedules = 1000000001");
  EXPECT_EQ(refusal(mutex + "progress_interval_ns: 1"), "OUT_OF_RANGE progress_interval_ns = 1");
  v1::ExploreRequest request = Searching(mutex);
  request.mutable_search()->set_strategy(static_cast<v1::SearchStrategy>(7));
  EXPECT_EQ(RefusalOf(Explore(world, request).status), "UNKNOWN_ENUM_VALUE search.strategy = 7");
  request = Searching(mutex);
  request.mutable_search()->set_pruning(static_cast<v1::SearchPruning>(-1));
  EXPECT_EQ(RefusalOf(Explore(world, request).status), "UNKNOWN_ENUM_VALUE search.pruning = -1");
}

TEST(ReplayTest, WhatCannotBeReplayedIsSaid) {
  LabWorld world;
  const auto reason = [&](const std::string& replay, uint32_t times = 1) {
    return DetailOf(ReplayOf(world, replay, times).status).reason();
  };
  EXPECT_EQ(reason(""), v1::ERROR_REASON_INVALID_REPLAY);
  EXPECT_EQ(reason("nonsense"), v1::ERROR_REASON_INVALID_REPLAY);
  EXPECT_EQ(reason(std::string((1U << 20U) + 1, 'x')), v1::ERROR_REASON_INVALID_REPLAY);
  const std::string good =
      ResultOf(world, "scenario: 'lock_order' mutant: 'abba_order'").finding().replay();
  EXPECT_EQ(reason(good, 1001), v1::ERROR_REASON_OUT_OF_RANGE);
  EXPECT_EQ(reason(good.substr(0, good.size() / 2)), v1::ERROR_REASON_INVALID_REPLAY);
}

}  // namespace
}  // namespace faultline::server

// SPDX-License-Identifier: Apache-2.0
//
// Workloads inside the server: what runs come to, in which order, how they end early, that nothing
// of them stays, and how each bad field is refused.
//
// Exact figures come from workloads with a number of rounds; the others are held to what must be
// true however fast the host is. No test waits for a time to pass but for one that it asked for.
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultline/v1/lab.pb.h"
#include "faultline/v1/workload.pb.h"
#include "tests/server/lab_world.h"

namespace faultline::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Request = v1::RunWorkloadRequest;

/// A request for the default machine. `text` is the rest of it.
Request Asking(const std::string& text) {
  Request request = FromText<Request>(text);
  if (request.machine().empty()) request.set_machine("machines/default");
  return request;
}

/// One actor with that rest; 16 pages of shared memory, and room for as many.
Request AskingFor(const std::string& actor, const std::string& rest = "") {
  return Asking(R"(
      workload {
        name: "test"
        files { name: "file" size: 65536 per_thread: true }
        regions { name: "memory" length: 65536 }
        regions { name: "room" length: 65536 sharing: REGION_SHARING_THREAD unmapped: true }
        actors { name: "actor" )" +
                actor + " } } " + rest);
}

/// The results among the messages.
std::vector<v1::WorkloadResult> ResultsOf(const Streamed<v1::RunWorkloadResponse>& run) {
  std::vector<v1::WorkloadResult> results;
  for (const auto& message : run.messages) {
    if (message.has_result()) results.push_back(message.result());
  }
  return results;
}

/// The one result of a run that goes well.
v1::WorkloadResult ResultOf(LabWorld& world, const Request& request) {
  const auto run = RunWorkload(world, request);
  EXPECT_TRUE(run.status.ok()) << run.status.error_message();
  const auto results = ResultsOf(run);
  EXPECT_EQ(results.size(), 1);
  return results.empty() ? v1::WorkloadResult() : results.front();
}

constexpr const char* kEndless = R"(
    loop { touch { span { region: "memory" } access: ACCESS_KIND_WRITE } })";

// -- What runs come to ----------------------------------------------------------------------------

TEST(ListWorkloadsTest, TellsThePresetsByName) {
  LabWorld world;
  grpc::ClientContext context;
  v1::ListWorkloadsResponse response;
  ASSERT_TRUE(world.stub().ListWorkloads(&context, {}, &response).ok());
  EXPECT_NE(response.instance_epoch(), 0);
  ASSERT_GT(response.workloads_size(), 10);
  for (int i = 1; i < response.workloads_size(); ++i) {
    EXPECT_LT(response.workloads(i - 1).name(), response.workloads(i).name());
  }
}

TEST(RunWorkloadTest, CountsRoundsOperationsAndFaultsExactly) {
  LabWorld world;
  const auto result = ResultOf(world, AskingFor(R"(
      threads: 3 rounds: 10
      loop { touch { span { region: "memory" own_part: true } access: ACCESS_KIND_WRITE } }
      loop { advise { span { region: "memory" own_part: true } advice: 4 } })"));
  ASSERT_EQ(result.actors_size(), 1);
  const v1::ActorResult& actor = result.actors(0);
  EXPECT_EQ(actor.actor(), "actor");
  EXPECT_EQ(actor.threads(), 3);
  EXPECT_EQ(actor.rounds(), 30);
  EXPECT_THAT(actor.rounds_by_thread(), ElementsAre(10, 10, 10));
  EXPECT_EQ(actor.operations(), 10 * 16 + 30);
  EXPECT_EQ(actor.failed(), 0);
  EXPECT_EQ(actor.round_latency().count(), 30);
  EXPECT_EQ(actor.round_service().count(), 30);
  EXPECT_EQ(result.faults().ended(), 160);
  ASSERT_EQ(result.faults().kinds_size(), 1);
  EXPECT_EQ(result.faults().kinds(0).kind(), v1::FAULT_KIND_ANON);
  EXPECT_EQ(result.faults().kinds(0).count(), 160);
  EXPECT_GT(result.elapsed_ns(), 0);
  EXPECT_GT(result.cpu_ns(), 0);
  world.ExpectNothingLeft();
}

TEST(RunWorkloadTest, SchemesHaveTheirTurnsForthAndBack) {
  LabWorld world;
  const auto run = RunWorkload(world, AskingFor("rounds: 1 loop { pause {} }", R"(
      schemes { scheme: SCHEME_RCU_RESTART }
      schemes { scheme: SCHEME_VMA_REFCNT }
      repeats: 2)"));
  ASSERT_TRUE(run.status.ok()) << run.status.error_message();
  std::vector<std::pair<uint32_t, uint32_t>> order;
  for (const auto& result : ResultsOf(run)) {
    order.emplace_back(result.scheme_index(), result.repeat());
    EXPECT_EQ(result.options().scheme(),
              result.scheme_index() == 0 ? v1::SCHEME_RCU_RESTART : v1::SCHEME_VMA_REFCNT);
    EXPECT_NE(result.options().pgtable_alloc(), v1::TABLE_ALLOC_UNSPECIFIED);
  }
  using Pair = std::pair<uint32_t, uint32_t>;
  EXPECT_THAT(order, ElementsAre(Pair(0, 0), Pair(1, 0), Pair(1, 1), Pair(0, 1)));
  EXPECT_EQ(run.messages.back().end().results(), 4);
  for (const auto& message : run.messages) EXPECT_NE(message.instance_epoch(), 0);
}

TEST(RunWorkloadTest, StepsThatFailAreCountedAndTheThreadGoesOn) {
  LabWorld world;
  const auto result = ResultOf(world, AskingFor(R"(
      rounds: 5
      loop { touch { span { region: "room" length: 8192 } } }
      loop { map { span { region: "room" length: 8192 } } }
      loop { touch { span { region: "room" length: 8192 } } }
      loop { unmap { span { region: "room" length: 8192 } } })"));
  EXPECT_EQ(result.actors(0).rounds(), 5);
  EXPECT_EQ(result.actors(0).operations(), 5 * 6);
  EXPECT_EQ(result.actors(0).failed(), 5 * 2);
}

TEST(RunWorkloadTest, WhatIsRelativeToAFailureIsLeftOut) {
  LabWorld world;
  // No room for a TiB in an mm that has 128 of them, twice 100 times over.
  const auto result = ResultOf(world, AskingFor(R"(
      rounds: 1
      setup { repeat { times: 200 steps { map { span { length: 1099511627776 } prot: 1 } } } }
      loop { map { span { length: 1099511627776 } touch: ACCESS_KIND_READ } }
      loop { unmap {} })"));
  EXPECT_EQ(result.actors(0).operations(), 2);
  EXPECT_EQ(result.actors(0).failed(), 2);
}

TEST(RunWorkloadTest, ForksAreChildrenForAWhile) {
  LabWorld world;
  const auto result = ResultOf(world, AskingFor(R"(
      rounds: 3 threads: 2
      setup { touch { span { region: "memory" } access: ACCESS_KIND_WRITE } }
      loop { map { span { length: 8192 } } }
      loop { fork {
        child { touch { span { region: "memory" length: 8192 } access: ACCESS_KIND_WRITE } }
        child { unmap {} }
        child { fork { child { touch { span { region: "memory" length: 4096 } } } } } } }
      loop { unmap {} })",
                                                "with_step_latencies: true"));
  const v1::ActorResult& actor = result.actors(0);
  EXPECT_EQ(actor.rounds(), 6);
  EXPECT_EQ(actor.failed(), 0);
  EXPECT_EQ(actor.operations(), 6 * (2 + 1 + 2 + 1 + 1 + 1));
  std::vector<std::pair<std::string, uint64_t>> steps;
  for (const auto& step : actor.steps()) steps.emplace_back(step.step(), step.latency().count());
  using Pair = std::pair<std::string, uint64_t>;
  EXPECT_THAT(steps,
              ElementsAre(Pair("touch", 12), Pair("map", 6), Pair("unmap", 12), Pair("fork", 12)));
  world.ExpectNothingLeft();
}

TEST(RunWorkloadTest, ObserversReadEveryFileInEveryMode) {
  LabWorld world;
  for (const char* file : {"MAPS", "SMAPS", "SMAPS_ROLLUP"}) {
    for (const char* mode : {"WHOLE_LOCK", "PER_VMA", "RCU"}) {
      const auto result =
          ResultOf(world, AskingFor(std::string("rounds: 2 loop { observe { file: OBSERVED_FILE_") +
                                    file + " mode: READ_MODE_" + mode + " } }"));
      EXPECT_EQ(result.actors(0).operations(), 2) << file << " " << mode;
      EXPECT_EQ(result.actors(0).failed(), 0) << file << " " << mode;
    }
  }
}

TEST(RunWorkloadTest, TheBreakMovesUpAndDown) {
  LabWorld world;
  const auto result =
      ResultOf(world, AskingFor("rounds: 4 loop { brk { by: 4096 } } loop { brk { by: -4096 } }"));
  EXPECT_EQ(result.actors(0).operations(), 8);
  EXPECT_EQ(result.actors(0).failed(), 0);
}

TEST(RunWorkloadTest, ProcessesHaveMmsAndFilesOfTheirOwn) {
  LabWorld world;
  size_t mms = 0;
  size_t files = 0;
  const auto run =
      RunWorkload(world,
                  AskingFor(std::string("threads: 3 own_mm: true") + kEndless,
                            "duration_ns: 3600000000000 progress_interval_ns: 10000000"),
                  [&](const v1::RunWorkloadResponse& message, grpc::ClientContext& context) {
                    EXPECT_TRUE(message.has_progress());
                    mms = world.machine().mm_count();
                    files = world.machine().FilesFrom(0, 10).size();
                    context.TryCancel();
                  });
  EXPECT_EQ(run.status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(mms, 3);
  EXPECT_EQ(files, 3);
}

TEST(RunWorkloadTest, ARunWithoutALoopEndsAfterItsSetup) {
  LabWorld world;
  const auto result = ResultOf(world, AskingFor("setup { touch { span { region: 'memory' } } }",
                                                "duration_ns: 3600000000000"));
  EXPECT_EQ(result.actors(0).rounds(), 0);
}

TEST(RunWorkloadTest, PacedRoundsKeepTheirDistance) {
  LabWorld world;
  const auto result =
      ResultOf(world, AskingFor("rounds: 5 pace { interval_ns: 2000000 } loop { pause {} }"));
  EXPECT_EQ(result.actors(0).rounds(), 5);
  EXPECT_GE(result.elapsed_ns(), 8'000'000);
}

TEST(RunWorkloadTest, LatencyOfALateRoundCountsFromItsIntendedStart) {
  LabWorld world;
  // Each round takes 2 ms and is to begin 1 us after the one before.
  const auto result = ResultOf(
      world,
      AskingFor("rounds: 5 pace { interval_ns: 1000 } loop { pause { duration_ns: 2000000 } }"));
  EXPECT_EQ(result.actors(0).late_rounds(), 4);
  // 2 + 4 + 6 + 8 + 10 ms, less the few us between the intended starts.
  EXPECT_GE(result.actors(0).round_latency().total_ns(), 29'900'000);
  EXPECT_LT(result.actors(0).round_service().max_ns(), result.actors(0).round_latency().max_ns());
}

TEST(RunWorkloadTest, WarmsUpAndSaysHowFarItIs) {
  LabWorld world;
  bool warming = false;
  bool measuring = false;
  const auto run = RunWorkload(world,
                               AskingFor(kEndless,
                                         "warmup_ns: 60000000 duration_ns: 60000000 "
                                         "progress_interval_ns: 10000000"),
                               [&](const v1::RunWorkloadResponse& message, grpc::ClientContext&) {
                                 if (!message.has_progress()) return;
                                 (message.progress().warming_up() ? warming : measuring) = true;
                               });
  EXPECT_TRUE(run.status.ok());
  EXPECT_TRUE(warming);
  EXPECT_TRUE(measuring);
  EXPECT_GE(ResultsOf(run)[0].elapsed_ns(), 60'000'000);
}

TEST(RunWorkloadTest, EveryPresetRunsAndNothingOfItFails) {
  LabWorld world;
  grpc::ClientContext context;
  v1::ListWorkloadsResponse presets;
  ASSERT_TRUE(world.stub().ListWorkloads(&context, {}, &presets).ok());
  for (const v1::Workload& preset : presets.workloads()) {
    SCOPED_TRACE(preset.name());
    const auto run = RunWorkload(
        world, Asking("preset: '" + preset.name() + "' threads: 2 duration_ns: 5000000"));
    ASSERT_TRUE(run.status.ok()) << run.status.error_message();
    const auto results = ResultsOf(run);
    uint64_t operations = 0;  // of all: on a busy host one alone may not get so far
    for (const v1::ActorResult& actor : results.at(0).actors()) {
      operations += actor.operations();
      EXPECT_EQ(actor.failed(), 0) << actor.actor();
    }
    EXPECT_GT(operations, 0);
  }
  world.ExpectNothingLeft();
}

// -- Ends -----------------------------------------------------------------------------------------

/// A request that goes on for an hour and says how it is doing every 10 ms.
Request ForAnHour(const std::string& actor = kEndless) {
  return AskingFor(actor, "duration_ns: 3600000000000 progress_interval_ns: 10000000");
}

void CancelAtOnce(const v1::RunWorkloadResponse& /*message*/, grpc::ClientContext& context) {
  context.TryCancel();
}

TEST(RunWorkloadEndTest, ACancelledRunIsGone) {
  LabWorld world;
  EXPECT_EQ(RunWorkload(world, ForAnHour(), CancelAtOnce).status.error_code(),
            grpc::StatusCode::CANCELLED);
  // The status of a cancelled call is the client's own: another run finds the server's end.
  (void)ResultOf(world, AskingFor("rounds: 1 loop { pause {} }"));
  while (world.machine().mm_count() != 0 || world.registry().thread_count() != 0) {
    std::this_thread::yield();
  }
  world.ExpectNothingLeft();
}

TEST(RunWorkloadEndTest, PausesAndEndlessRepeatsDoNotHoldACancellationUp) {
  LabWorld world;
  for (const char* actor : {"loop { pause { duration_ns: 1000000000000 } }",
                            "pace { interval_ns: 1000000000000 } loop { pause {} }",
                            "loop { repeat { times: 1000000000 steps { unmap {} } } }"}) {
    EXPECT_EQ(RunWorkload(world, ForAnHour(actor), CancelAtOnce).status.error_code(),
              grpc::StatusCode::CANCELLED);
  }
}

TEST(RunWorkloadEndTest, ADrainEndsARunAndRefusesTheNext) {
  LabWorld world;
  const auto drain = [&](const v1::RunWorkloadResponse&, grpc::ClientContext&) {
    world.runs().Drain();
  };
  EXPECT_EQ(RefusalOf(RunWorkload(world, ForAnHour(), drain).status), "DRAINING  = ");
  EXPECT_EQ(RefusalOf(RunWorkload(world, ForAnHour()).status), "DRAINING  = ");
  world.ExpectNothingLeft();
}

TEST(RunWorkloadEndTest, OneMoreThanTheLimitIsOverloaded) {
  Limits limits;
  limits.max_lab_runs = 1;
  LabWorld world(limits);
  grpc::Status second;
  (void)RunWorkload(world, ForAnHour(),
                    [&](const v1::RunWorkloadResponse&, grpc::ClientContext& context) {
                      if (second.ok()) second = RunWorkload(world, ForAnHour()).status;
                      context.TryCancel();
                    });
  EXPECT_EQ(second.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(DetailOf(second).reason(), v1::ERROR_REASON_OVERLOADED);
  EXPECT_GT(DetailOf(second).retry_after_ns(), 0);
}

TEST(RunWorkloadEndTest, AnMmThatSomebodyElseEndsEndsTheRun) {
  LabWorld world;
  const auto end_mms = [&](const v1::RunWorkloadResponse&, grpc::ClientContext&) {
    for (const auto& mm : world.machine().MmsFrom(0, 10)) (void)mm->Exit({});
  };
  const auto run = RunWorkload(world, ForAnHour(), end_mms);
  EXPECT_EQ(DetailOf(run.status).reason(), v1::ERROR_REASON_MM_EXITED);
  world.ExpectNothingLeft();
}

TEST(RunWorkloadEndTest, LimitsOfTheServerAreNotExceeded) {
  Limits limits;
  limits.max_threads = 4;
  limits.max_mms = 1;
  limits.max_files = 2;
  LabWorld world(limits);
  const std::string loop = "rounds: 1 loop { pause {} }";
  EXPECT_EQ(
      DetailOf(RunWorkload(world, AskingFor("threads: 2 own_mm: true " + loop)).status).reason(),
      v1::ERROR_REASON_LIMIT_REACHED);
  world.ExpectNothingLeft();
  EXPECT_EQ(DetailOf(RunWorkload(world, AskingFor("threads: 3 " + loop)).status).reason(),
            v1::ERROR_REASON_LIMIT_REACHED)
      << "files";
  world.ExpectNothingLeft();
  const auto place = world.registry().AddThread();
  EXPECT_EQ(DetailOf(RunWorkload(world, AskingFor("threads: 4 " + loop)).status).reason(),
            v1::ERROR_REASON_LIMIT_REACHED)
      << "threads";
  EXPECT_EQ(world.registry().thread_count(), 1);
}

// -- Bad input ------------------------------------------------------------------------------------

TEST(RunWorkloadInputTest, EveryFieldThatIsWrongIsNamed) {
  LabWorld world;
  const auto refusal = [&](const Request& request) {
    return RefusalOf(RunWorkload(world, request).status);
  };
  const std::string preset = "preset: 'pft' ";
  const auto with = [&](const std::string& rest) { return refusal(Asking(preset + rest)); };

  EXPECT_THAT(with("machine: 'default'"), HasSubstr("INVALID_NAME machine = default"));
  EXPECT_THAT(with("machine: 'machines/none'"), HasSubstr("NOT_FOUND machine = "));
  Request nowhere = FromText<Request>(preset);
  EXPECT_THAT(refusal(nowhere), HasSubstr("INVALID_NAME machine = "));

  EXPECT_EQ(refusal(Asking("")), "MISSING_FIELD what = ");
  EXPECT_THAT(refusal(Asking("preset: ''")), HasSubstr("NOT_FOUND preset = "));
  EXPECT_THAT(refusal(Asking("preset: 'page_fault1'")), HasSubstr("NOT_FOUND preset = "));
  EXPECT_EQ(refusal(Asking("workload {}")), "OUT_OF_RANGE workload.name = ");
  EXPECT_EQ(refusal(Asking("workload { name: 'x' }")), "OUT_OF_RANGE workload.actors = 0 elements");
  EXPECT_EQ(refusal(AskingFor("loop {}")), "MISSING_FIELD workload.actors[0].loop[0].step = ");

  EXPECT_THAT(with("schemes {} schemes { scheme: SCHEME_RCU_RESTART pgtable_alloc: "
                   "TABLE_ALLOC_EAGER }"),
              HasSubstr("REFUSED_COMBINATION schemes[1]"));
  Request request = Asking(preset);
  request.add_schemes()->set_scheme(static_cast<v1::Scheme>(99));
  EXPECT_EQ(refusal(request), "UNKNOWN_ENUM_VALUE schemes[0].scheme = 99");
  request = Asking(preset);
  for (int i = 0; i < 65; ++i) request.add_schemes();
  EXPECT_EQ(refusal(request), "OUT_OF_RANGE schemes = 65 elements");

  EXPECT_EQ(with("threads: 2049"), "OUT_OF_RANGE threads = 2049");
  EXPECT_EQ(with("threads: 4294967295"), "OUT_OF_RANGE threads = 4294967295");
  EXPECT_EQ(with("duration_ns: 999999"), "OUT_OF_RANGE duration_ns = 999999");
  EXPECT_EQ(with("duration_ns: 18446744073709551615"),
            "OUT_OF_RANGE duration_ns = 18446744073709551615");
  EXPECT_EQ(with("warmup_ns: 3600000000001"), "OUT_OF_RANGE warmup_ns = 3600000000001");
  EXPECT_EQ(with("repeats: 1001"), "OUT_OF_RANGE repeats = 1001");
  EXPECT_EQ(with("progress_interval_ns: 9999999"), "OUT_OF_RANGE progress_interval_ns = 9999999");
  EXPECT_EQ(with("progress_interval_ns: 3600000000001"),
            "OUT_OF_RANGE progress_interval_ns = 3600000000001");
  world.ExpectNothingLeft();
}

TEST(RunWorkloadInputTest, APresetWithTooManyThreadsIsNamedAsOne) {
  Limits limits;
  limits.max_threads = 4;
  LabWorld world(limits);
  EXPECT_EQ(RefusalOf(RunWorkload(world, Asking("preset: 'far_mapper' threads: 4")).status),
            "OUT_OF_RANGE preset.actors[1].threads = 4");
}

}  // namespace
}  // namespace faultline::server

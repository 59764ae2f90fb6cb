// SPDX-License-Identifier: Apache-2.0
//
// Tests of proto/workload/presets.h: every preset is there, parses, is valid and gives operations;
// variants differ in what they are named for.
//
// Whether a preset runs well is a test of the server.
#include "proto/workload/presets.h"

#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultline/v1/workload.pb.h"
#include "proto/workload/plan.h"
#include "proto/workload/script.h"
#include "proto/workload/validate.h"

namespace faultline::workload {
namespace {

TEST(PresetsTest, AreThoseOfWillItScaleAndItsKin) {
  std::vector<std::string> names;
  for (const v1::Workload& preset : Presets()) names.push_back(preset.name());
  EXPECT_THAT(names,
              ::testing::ElementsAre(
                  "app_launch", "brk1_processes", "brk1_threads", "far_mapper", "fork_storm",
                  "malloc1_processes", "malloc1_threads", "merging_mapper", "mmap1_processes",
                  "mmap1_threads", "mmap2_processes", "mmap2_threads", "observer_maps_per_vma",
                  "observer_maps_rcu", "observer_maps_whole_lock", "observer_none",
                  "observer_smaps_per_vma", "observer_smaps_rcu", "observer_smaps_whole_lock",
                  "page_fault1_processes", "page_fault1_threads", "page_fault2_processes",
                  "page_fault2_threads", "page_fault3_processes", "page_fault3_threads", "pft",
                  "thread_storm", "tlb_flush1_processes", "tlb_flush1_threads"));
}

TEST(PresetsTest, AreValidFromOneThreadToManyAndGiveOperations) {
  for (const v1::Workload& preset : Presets()) {
    SCOPED_TRACE(preset.name());
    EXPECT_FALSE(preset.description().empty());
    for (const uint32_t threads : {1U, 2U, 100U}) {
      const auto problem = WhyBad(preset, {.max_threads = 1000, .threads = threads});
      ASSERT_FALSE(problem) << problem->DebugString();
      const Plan plan(preset, threads);
      for (uint32_t actor = 0; actor < plan.actors().size(); ++actor) {
        Script script(plan, {.actor = actor,
                             .thread = plan.actors()[actor].threads - 1,
                             .files = std::vector<uint64_t>(plan.files().size(), 1)});
        script.Begin(Script::Part::kLoop);
        Operation op;
        EXPECT_TRUE(script.Next(op));
        EXPECT_NE(op.action, Action::kNothing);
      }
    }
  }
}

TEST(PresetsTest, TasksAreThreadsOrProcesses) {
  EXPECT_FALSE(FindPreset("page_fault1_threads")->actors(0).own_mm());
  EXPECT_TRUE(FindPreset("page_fault1_processes")->actors(0).own_mm());
}

TEST(PresetsTest, ObserversReadAsTheirNamesSay) {
  const v1::ObserveStep& observe =
      FindPreset("observer_smaps_per_vma")->actors(2).loop(0).observe();
  EXPECT_EQ(observe.file(), v1::OBSERVED_FILE_SMAPS);
  EXPECT_EQ(observe.mode(), v1::READ_MODE_PER_VMA);
  EXPECT_EQ(FindPreset("observer_none")->actors_size(), 2);
}

TEST(PresetsTest, PageFault1WritesEveryPageOfItsMappingOnce) {
  const Plan plan(*FindPreset("page_fault1_threads"), 1);
  Script script(plan, {});
  script.Begin(Script::Part::kLoop);
  uint64_t pages = 0;
  uint64_t others = 0;
  for (Operation op; script.Next(op);) {
    if (op.kind == v1::OPERATION_KIND_TOUCH_WRITE) {
      ASSERT_EQ(op.address, pages * kPageBytes);
      ++pages;
    } else {
      ++others;
    }
  }
  EXPECT_EQ(pages, 32768);
  EXPECT_EQ(others, 2);
}

TEST(PresetsTest, AnUnknownNameIsNoPreset) {
  EXPECT_EQ(FindPreset(""), nullptr);
  EXPECT_EQ(FindPreset("page_fault1"), nullptr);
}

}  // namespace
}  // namespace faultline::workload

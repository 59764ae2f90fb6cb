// SPDX-License-Identifier: Apache-2.0
//
// The limits: the table is whole, agrees with the API, and refuses what a server could not run
// with. That they are kept is the subject of the tests of what they limit.
#include "server/limits.h"

#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "faultline/v1/attach.pb.h"
#include "faultline/v1/machine.pb.h"
#include "proto/columns/outcome.h"

namespace faultline::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(LimitsTest, DefaultsAreAllowed) { EXPECT_THAT(WhyRefused(Limits{}), IsEmpty()); }

TEST(LimitsTest, TableNamesEachLimitOnceAndInTheOrderOfTheStruct) {
  Limits limits;
  uint64_t number = 1;
  for (const LimitInfo& limit : AllLimits()) limits.*limit.value = number++;
  number = 1;
  std::set<std::string_view> names;
  for (const LimitInfo& limit : AllLimits()) {
    EXPECT_EQ(limits.*limit.value, number++) << limit.name << " is there twice";
    EXPECT_TRUE(names.insert(limit.name).second) << limit.name;
  }
  EXPECT_EQ(limits.max_machines, 1);
  EXPECT_EQ(limits.log_queue_lines, AllLimits().size());
}

TEST(LimitsTest, LimitsOfTheApiAreThere) {
  std::set<std::string_view> names;
  for (const LimitInfo& limit : AllLimits()) names.insert(limit.name);
  const google::protobuf::Descriptor& api = *v1::Limits::descriptor();
  for (int i = 0; i < api.field_count(); ++i) EXPECT_TRUE(names.contains(api.field(i)->name()));
}

TEST(LimitsTest, RangesFitTheTypesOfTheApi) {
  const google::protobuf::Descriptor& api = *v1::Limits::descriptor();
  for (const LimitInfo& limit : AllLimits()) {
    const auto* field = api.FindFieldByName(std::string(limit.name));
    if (field == nullptr || field->type() != google::protobuf::FieldDescriptor::TYPE_UINT32) {
      continue;
    }
    EXPECT_LE(limit.max, std::numeric_limits<uint32_t>::max()) << limit.name;
  }
}

TEST(LimitsTest, NoneCanBeZeroAndEachKeepsToItsRange) {
  for (const LimitInfo& limit : AllLimits()) {
    EXPECT_GE(limit.min, 1u) << limit.name;
    for (const uint64_t value : {uint64_t{0}, limit.min - 1, limit.max + 1}) {
      Limits limits;
      limits.*limit.value = value;
      EXPECT_THAT(WhyRefused(limits),
                  AllOf(HasSubstr(std::string(limit.name)), HasSubstr(std::to_string(value)),
                        HasSubstr(std::to_string(limit.min)), HasSubstr(std::to_string(limit.max))))
          << limit.name;
    }
  }
}

TEST(LimitsTest, ContradictionsAreRefused) {
  Limits memory;
  memory.max_machine_memory_bytes = memory.max_memory_bytes + 1;
  EXPECT_THAT(WhyRefused(memory), HasSubstr("at most max_memory_bytes"));
  Limits message;
  message.max_message_bytes = message.quota_memory_bytes + 1;
  EXPECT_THAT(WhyRefused(message), HasSubstr("at most quota_memory_bytes"));
  Limits ring;
  ring.max_event_ring = 1000;
  EXPECT_THAT(WhyRefused(ring), HasSubstr("only powers of two"));
}

/// Results in which every column is there and every number as long as it gets.
uint64_t LongestResults(uint64_t operations) {
  v1::AttachResponse response;
  response.set_instance_epoch(UINT64_MAX);
  v1::OperationResults& results = *response.mutable_results();
  results.set_batch_id(UINT64_MAX);
  results.set_completed(static_cast<uint32_t>(operations));
  results.set_end(v1::BATCH_END_MM_EXITED);
  results.set_begin_ns(UINT64_MAX);
  results.set_elapsed_ns(UINT64_MAX);
  for (uint64_t i = 0; i < operations; ++i) {
    results.add_outcomes(columns::Outcome::Skipped().packed());
    results.add_values(UINT64_MAX);
    results.add_latencies_ns(UINT64_MAX);
    results.add_rungs(UINT64_MAX);
  }
  return response.ByteSizeLong();
}

TEST(LimitsTest, AFullBatchsResultsFitIntoAMessageAndNotMuchIsGivenAway) {
  const LimitInfo* message = nullptr;
  for (const LimitInfo& limit : AllLimits()) {
    if (limit.name == std::string_view("max_message_bytes")) message = &limit;
  }
  ASSERT_NE(message, nullptr);
  for (const uint64_t bytes : {message->min, Limits().max_message_bytes, 32 * Limits::kMib}) {
    Limits limits;
    limits.max_message_bytes = bytes;
    uint64_t allowed = 1;
    for (uint64_t step = 1 << 19; step != 0; step /= 2) {
      limits.max_batch_operations = allowed + step;
      if (WhyRefused(limits).empty()) allowed += step;
    }
    EXPECT_LE(LongestResults(allowed), bytes);
    EXPECT_GT(LongestResults(allowed), bytes - 256);
    limits.max_batch_operations = allowed + 1;
    EXPECT_THAT(WhyRefused(limits),
                AllOf(HasSubstr("max_batch_operations: " + std::to_string(allowed + 1)),
                      HasSubstr("from 1 to " + std::to_string(allowed) + ","),
                      HasSubstr("max_message_bytes, which is " + std::to_string(bytes))));
  }
}

}  // namespace
}  // namespace faultline::server

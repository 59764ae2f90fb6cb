// SPDX-License-Identifier: Apache-2.0
//
// Tests of proto/columns/results_writer.h, results_reader.h and outcome.h: what the server writes
// is what the client reads, columns are empty as long as they can be, and a client notices a server
// that breaks the rules.
//
// The table of outcomes is that of attach.proto.
#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "faultline/v1/attach.pb.h"
#include "faultline/v1/common.pb.h"
#include "proto/columns/outcome.h"
#include "proto/columns/results_reader.h"
#include "proto/columns/results_writer.h"

namespace faultline::columns {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::OperationBatch BatchOfSize(uint32_t operations) {
  v1::OperationBatch batch;
  batch.set_batch_id(42);
  batch.set_operations(operations);
  return batch;
}

RC_GTEST_PROP(ResultsPropertyTest, WhatIsWrittenIsRead, ()) {
  const auto sparse = rc::gen::oneOf(rc::gen::just<uint64_t>(0), rc::gen::just<uint64_t>(0),
                                     rc::gen::arbitrary<uint64_t>());
  const auto operations = *rc::gen::inRange<uint32_t>(1, 40);
  const auto completed = *rc::gen::inRange<uint32_t>(0, operations + 1);
  const auto numbers = *rc::gen::container<std::vector<uint64_t>>(size_t{4} * operations, sparse);
  const v1::OperationBatch batch = BatchOfSize(operations);
  v1::OperationResults results;
  ResultsWriter writer(results);
  writer.Begin(batch);
  for (uint32_t i = 0; i < completed; ++i) {
    writer.SetOutcome(i, Outcome(static_cast<uint32_t>(numbers[size_t{4} * i])));
    writer.SetValue(i, numbers[size_t{4} * i + 1]);
    writer.SetLatency(i, numbers[size_t{4} * i + 2]);
    writer.SetRungs(i, Rungs(numbers[size_t{4} * i + 3]));
    RC_ASSERT(writer.outcome(i).packed() == static_cast<uint32_t>(numbers[size_t{4} * i]));
    RC_ASSERT(writer.value(i) == numbers[size_t{4} * i + 1]);
  }
  writer.End(completed, completed < operations ? v1::BATCH_END_KILLED : v1::BATCH_END_UNSPECIFIED);

  RC_ASSERT(!WhyMalformed(results, batch).has_value());
  const ResultsReader reader(results);
  RC_ASSERT(reader.completed() == completed);
  for (uint32_t i = 0; i < completed; ++i) {
    RC_ASSERT(reader.outcome(i).packed() == static_cast<uint32_t>(numbers[size_t{4} * i]));
    RC_ASSERT(reader.value(i) == numbers[size_t{4} * i + 1]);
    RC_ASSERT(reader.latency_ns(i) == numbers[size_t{4} * i + 2]);
    RC_ASSERT(reader.rungs(i).packed() == numbers[size_t{4} * i + 3]);
  }
}

TEST(ResultsWriterTest, ABatchThatWentWellHasNoColumns) {
  v1::OperationResults results;
  ResultsWriter writer(results);
  writer.Begin(BatchOfSize(4096));
  for (uint32_t i = 0; i < 4096; ++i) writer.SetOutcome(i, {});
  writer.End(4096, v1::BATCH_END_UNSPECIFIED);
  EXPECT_THAT(results.outcomes(), IsEmpty());
  EXPECT_THAT(results.values(), IsEmpty());
  EXPECT_LT(results.ByteSizeLong(), 16);
}

TEST(ResultsWriterTest, AColumnFillsWithTheFirstThatIsNotZero) {
  v1::OperationResults results;
  ResultsWriter writer(results);
  writer.Begin(BatchOfSize(4));
  writer.SetOutcome(2, Outcome::Error(v1::ERRNO_ENOMEM));
  writer.End(3, v1::BATCH_END_FAILURE);
  EXPECT_EQ(results.batch_id(), 42);
  EXPECT_THAT(results.outcomes(), ElementsAre(0, 0, 12));
  EXPECT_THAT(results.values(), IsEmpty());
}

TEST(ResultsWriterTest, NothingOfTheBatchBeforeIsLeft) {
  v1::OperationResults results;
  ResultsWriter writer(results);
  writer.Begin(BatchOfSize(4));
  for (uint32_t i = 0; i < 4; ++i) {
    writer.SetOutcome(i, Outcome::Access(11, 1));
    writer.SetValue(i, 5);
    writer.SetLatency(i, 6);
    writer.SetRungs(i, Rungs(7));
  }
  writer.End(4, v1::BATCH_END_UNSPECIFIED);
  writer.Begin(BatchOfSize(2));
  writer.SetValue(1, 8);
  writer.End(2, v1::BATCH_END_UNSPECIFIED);
  EXPECT_THAT(results.outcomes(), IsEmpty());
  EXPECT_THAT(results.values(), ElementsAre(0, 8));
  EXPECT_THAT(results.latencies_ns(), IsEmpty());
  EXPECT_THAT(results.rungs(), IsEmpty());
}

TEST(ResultsReaderTest, AllOkMeansThatNoneFailed) {
  v1::OperationResults results;
  results.set_completed(2);
  EXPECT_TRUE(ResultsReader(results).all_ok());
  results.add_outcomes(0);
  results.add_outcomes(0);
  EXPECT_TRUE(ResultsReader(results).all_ok());
  results.set_outcomes(1, 1);
  EXPECT_FALSE(ResultsReader(results).all_ok());
}

TEST(ResultsReaderTest, AServerThatBreaksTheRulesIsNoticed) {
  const v1::OperationBatch batch = BatchOfSize(3);
  v1::OperationResults good;
  good.set_batch_id(42);
  good.set_completed(3);
  ASSERT_FALSE(WhyMalformed(good, batch));

  v1::OperationResults results = good;
  results.set_batch_id(41);
  EXPECT_TRUE(WhyMalformed(results, batch));
  results = good;
  results.set_completed(4);
  EXPECT_TRUE(WhyMalformed(results, batch));
  results = good;
  results.set_completed(2);
  EXPECT_TRUE(WhyMalformed(results, batch)) << "without a reason";
  results.set_end(v1::BATCH_END_FAILURE);
  EXPECT_FALSE(WhyMalformed(results, batch));
  results = good;
  results.add_rungs(1);
  EXPECT_TRUE(WhyMalformed(results, batch));
  EXPECT_EQ(ResultsReader(results).rungs(2), Rungs()) << "reads nothing that is not there";
}

TEST(OutcomeTest, IsPackedAsTheApiSays) {
  EXPECT_TRUE(Outcome().ok());
  EXPECT_EQ(Outcome::Error(v1::ERRNO_EINVAL).packed(), 22);
  EXPECT_EQ(Outcome::Error(v1::ERRNO_EINVAL).error(), v1::ERRNO_EINVAL);
  EXPECT_EQ(Outcome::Access(11, 2).packed(), 11 + 256 * 2);
  EXPECT_EQ(Outcome::Access(11, 128).signal(), 11);
  EXPECT_EQ(Outcome::Access(11, 128).code(), 128);
  EXPECT_EQ(Outcome::Skipped().packed(), 65536);
  EXPECT_TRUE(Outcome::Skipped().skipped());
  EXPECT_FALSE(Outcome::Access(11, 128).skipped());
}

TEST(RungsTest, ArePackedAsTheApiSays) {
  Rungs rungs;
  EXPECT_FALSE(rungs.any());
  rungs.On(v1::FAULT_RUNG_VALIDATED)
      .Left(v1::FAULT_RUNG_VALIDATED, v1::LEAVE_REASON_CHANGED)
      .On(v1::FAULT_RUNG_MMAP_LOCK);
  EXPECT_EQ(rungs.packed(), 0b101U | (9U << 8U));
  EXPECT_TRUE(rungs.was_on(v1::FAULT_RUNG_VALIDATED));
  EXPECT_FALSE(rungs.was_on(v1::FAULT_RUNG_VMA_LOCK));
  EXPECT_TRUE(rungs.was_on(v1::FAULT_RUNG_MMAP_LOCK));
  EXPECT_EQ(rungs.left_for(v1::FAULT_RUNG_VALIDATED), v1::LEAVE_REASON_CHANGED);
  EXPECT_EQ(rungs.left_for(v1::FAULT_RUNG_MMAP_LOCK), v1::LEAVE_REASON_UNSPECIFIED);
}

}  // namespace
}  // namespace faultline::columns

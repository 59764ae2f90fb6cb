// SPDX-License-Identifier: Apache-2.0
//
// Tests of proto/columns/batch_builder.h and batch_reader.h: what is put in comes out, columns are
// as short as they can be, and a builder that is used again does not allocate.
//
// Random lists of operations go through the builder, the wire and the reader.
#include "proto/columns/batch_builder.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "faultline/v1/attach.pb.h"
#include "proto/columns/batch_check.h"
#include "proto/columns/batch_reader.h"
#include "tests/proto/columns/operations.h"

namespace faultline::columns {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr BatchLimits kLimits{.max_operations = 4096};

RC_GTEST_PROP(BatchBuilderPropertyTest, WhatIsBuiltIsAcceptedAndReadBack, ()) {
  const Operations operations = AnyOperations();
  v1::OperationBatch received;
  RC_ASSERT(received.ParseFromString(BatchOf(operations).SerializeAsString()));
  const MaybeProblem problem = WhyBad(received, kLimits);
  if (problem) RC_FAIL(problem->DebugString());
  RC_ASSERT(OperationsOf(received) == operations);
}

RC_GTEST_PROP(BatchBuilderPropertyTest, ABuilderThatIsUsedAgainBuildsTheSame, ()) {
  const Operations first = AnyOperations();
  const Operations second = AnyOperations();
  v1::OperationBatch batch;
  BatchBuilder builder(batch);
  Build(builder, first);
  builder.Start(0);
  Build(builder, second);
  RC_ASSERT(batch.SerializeAsString() == BatchOf(second).SerializeAsString());
}

RC_GTEST_PROP(BatchBuilderPropertyTest, ColumnsAreAsShortAsTheyCanBe, ()) {
  const Operations operations = AnyOperations();
  const v1::OperationBatch batch = BatchOf(operations);
  const auto all_are = [&operations](auto member, auto value) {
    return std::all_of(operations.begin(), operations.end(),
                       [&](const Operation& each) { return each.*member == value; });
  };
  const Operation& first = operations.front();
  const int n = static_cast<int>(operations.size());
  RC_ASSERT(batch.kinds_size() == (all_are(&Operation::kind, first.kind) ? 1 : n));
  RC_ASSERT(batch.addresses_size() == (all_are(&Operation::address, uint64_t{0}) ? 0 : n));
  RC_ASSERT(batch.bases_size() == (all_are(&Operation::base, uint32_t{0}) ? 0 : n));
  if (all_are(&Operation::length, uint64_t{0})) {
    RC_ASSERT(batch.lengths_size() == 0);
  } else {
    RC_ASSERT(batch.lengths_size() == (all_are(&Operation::length, first.length) ? 1 : n));
  }
}

TEST(BatchBuilderTest, MapsFillsAndUnmapsInOneBatch) {
  v1::OperationBatch batch;
  BatchBuilder builder(batch);
  builder.Start(7);
  const uint32_t map = builder.Mmap(
      {.address = 0}, 8192,
      {.prot = 3, .flags = 0x22, .open_file = 5, .read_only_file = true, .offset = 4096});
  builder.Touch(v1::ACCESS_KIND_WRITE, BatchBuilder::Relative(map, 4096));
  builder.Munmap(BatchBuilder::Relative(map, 0), 8192);

  EXPECT_EQ(batch.batch_id(), 7);
  EXPECT_EQ(batch.operations(), 3);
  EXPECT_THAT(batch.kinds(), ElementsAre(v1::OPERATION_KIND_MMAP, v1::OPERATION_KIND_TOUCH_WRITE,
                                         v1::OPERATION_KIND_MUNMAP));
  EXPECT_THAT(batch.addresses(), ElementsAre(0, 4096, 0));
  EXPECT_THAT(batch.lengths(), ElementsAre(8192, 0, 8192));
  EXPECT_THAT(batch.arguments(), ElementsAre(3, 0x22, UINT64_MAX, 11, 4096));
  EXPECT_THAT(batch.bases(), ElementsAre(0, 1, 1));
  EXPECT_FALSE(WhyBad(batch, kLimits));
}

TEST(BatchBuilderTest, EveryAdderMakesItsKindWithItsArguments) {
  v1::OperationBatch batch;
  BatchBuilder builder(batch);
  const Place where{.address = 4096};
  builder.Fault(v1::ACCESS_KIND_EXEC, where);
  builder.FaultFromKernel(v1::ACCESS_KIND_WRITE, where);
  builder.Touch(v1::ACCESS_KIND_UNSPECIFIED, where);
  builder.TouchRange(v1::ACCESS_KIND_WRITE, where, 1);
  builder.Load(where);
  builder.Store(where, 2);
  builder.Mprotect(where, 3, 4);
  builder.Mremap(where, 5, 6, 7, 8);
  builder.Madvise(where, 9, 10);
  builder.Mseal(where, 11, 12);
  builder.Brk(where);
  builder.Mlock(where, 13, 14);
  builder.Munlock(where, 15);
  builder.Mlockall(16);
  builder.Munlockall();
  builder.Fork();
  builder.WaitProgress(17, 18, 19);
  builder.WaitClock(20);
  builder.Pause(21);
  builder.Exit();

  ASSERT_FALSE(WhyBad(batch, kLimits)) << WhyBad(batch, kLimits)->DebugString();
  EXPECT_THAT(
      batch.kinds(),
      ElementsAre(v1::OPERATION_KIND_FAULT_EXEC, v1::OPERATION_KIND_FAULT_WRITE_KERNEL,
                  v1::OPERATION_KIND_TOUCH_READ, v1::OPERATION_KIND_TOUCH_RANGE_WRITE,
                  v1::OPERATION_KIND_LOAD, v1::OPERATION_KIND_STORE, v1::OPERATION_KIND_MPROTECT,
                  v1::OPERATION_KIND_MREMAP, v1::OPERATION_KIND_MADVISE, v1::OPERATION_KIND_MSEAL,
                  v1::OPERATION_KIND_BRK, v1::OPERATION_KIND_MLOCK, v1::OPERATION_KIND_MUNLOCK,
                  v1::OPERATION_KIND_MLOCKALL, v1::OPERATION_KIND_MUNLOCKALL,
                  v1::OPERATION_KIND_FORK, v1::OPERATION_KIND_WAIT_PROGRESS,
                  v1::OPERATION_KIND_WAIT_CLOCK, v1::OPERATION_KIND_PAUSE,
                  v1::OPERATION_KIND_EXIT));
  EXPECT_THAT(batch.arguments(), ElementsAre(2, 4, 6, 7, 8, 10, 12, 14, 16, 19));
  EXPECT_THAT(batch.lengths(),
              ElementsAre(0, 0, 0, 1, 0, 0, 3, 5, 9, 11, 0, 13, 15, 0, 0, 0, 18, 20, 21, 0));
}

TEST(BatchBuilderTest, ABuilderThatIsUsedAgainKeepsItsMemory) {
  v1::OperationBatch batch;
  BatchBuilder builder(batch);
  const auto fill = [&builder] {
    for (uint64_t i = 0; i < 1000; ++i) {
      builder.Munmap({.address = i}, i);
      builder.Store({.address = i}, i);
    }
  };
  fill();
  const std::vector<const void*> before{batch.kinds().data(), batch.addresses().data(),
                                        batch.lengths().data(), batch.arguments().data()};
  builder.Start(1);
  EXPECT_EQ(batch.operations(), 0);
  EXPECT_THAT(batch.kinds(), IsEmpty());
  fill();
  EXPECT_THAT(before, ElementsAre(batch.kinds().data(), batch.addresses().data(),
                                  batch.lengths().data(), batch.arguments().data()));
}

TEST(BatchReaderTest, TellsWhetherOneKindIsForAll) {
  v1::OperationBatch batch;
  BatchBuilder builder(batch);
  builder.Fault(v1::ACCESS_KIND_WRITE, {.address = 0});
  EXPECT_EQ(BatchReader(batch).uniform_kind(), v1::OPERATION_KIND_FAULT_WRITE);
  EXPECT_FALSE(BatchReader(batch).has_bases());
  builder.Fault(v1::ACCESS_KIND_READ, {.address = 0});
  EXPECT_EQ(BatchReader(batch).uniform_kind(), std::nullopt);
}

}  // namespace
}  // namespace faultline::columns

// SPDX-License-Identifier: Apache-2.0
//
// Tests of proto/columns/batch_check.h: every way in which a batch can be malformed is refused, and
// the refusal names reason, field, value and what is allowed.
//
// The property breaks a random good batch in a random way; the examples show the texts.
#include "proto/columns/batch_check.h"

#include <algorithm>
#include <climits>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "faultline/v1/attach.pb.h"
#include "faultline/v1/error.pb.h"
#include "proto/columns/batch_builder.h"
#include "tests/proto/columns/operations.h"

namespace faultline::columns {
namespace {

constexpr BatchLimits kLimits{.max_operations = 60};

/// A way to break a batch of at least two operations.
struct Breakage {
  v1::ErrorReason reason;
  std::string_view field;  ///< what the named field begins with
  std::function<void(v1::OperationBatch&)> apply;
};

/// Makes a column one element too long or too short, so that it is neither full nor empty nor one.
template <class T>
void Misfit(google::protobuf::RepeatedField<T>* column, uint32_t operations) {
  column->Resize(static_cast<int>(operations) + 1, T{1});
}

std::vector<Breakage> Breakages() {
  using Batch = v1::OperationBatch;
  return {
      {v1::ERROR_REASON_OUT_OF_RANGE, "batch.operations",
       [](Batch& batch) { batch.set_operations(0); }},
      {v1::ERROR_REASON_OUT_OF_RANGE, "batch.operations",
       [](Batch& batch) { batch.set_operations(61); }},
      {v1::ERROR_REASON_OUT_OF_RANGE, "batch.operations",
       [](Batch& batch) { batch.set_operations(UINT32_MAX); }},
      {v1::ERROR_REASON_COLUMN_LENGTH, "batch.kinds", [](Batch& batch) { batch.clear_kinds(); }},
      {v1::ERROR_REASON_COLUMN_LENGTH, "batch.kinds",
       [](Batch& batch) { Misfit(batch.mutable_kinds(), batch.operations()); }},
      {v1::ERROR_REASON_UNKNOWN_ENUM_VALUE, "batch.kinds[",
       [](Batch& batch) { batch.mutable_kinds()->Set(batch.kinds_size() / 2, 0); }},
      {v1::ERROR_REASON_UNKNOWN_ENUM_VALUE, "batch.kinds[",
       [](Batch& batch) { batch.mutable_kinds()->Set(batch.kinds_size() - 1, INT_MIN); }},
      {v1::ERROR_REASON_COLUMN_LENGTH, "batch.addresses",
       [](Batch& batch) { Misfit(batch.mutable_addresses(), batch.operations()); }},
      {v1::ERROR_REASON_COLUMN_LENGTH, "batch.addresses",
       [](Batch& batch) { batch.mutable_addresses()->Resize(1, 0); }},
      {v1::ERROR_REASON_COLUMN_LENGTH, "batch.lengths",
       [](Batch& batch) { Misfit(batch.mutable_lengths(), batch.operations()); }},
      {v1::ERROR_REASON_COLUMN_LENGTH, "batch.arguments",
       [](Batch& batch) { batch.add_arguments(0); }},
      {v1::ERROR_REASON_COLUMN_LENGTH, "batch.bases",
       [](Batch& batch) { Misfit(batch.mutable_bases(), batch.operations()); }},
      {v1::ERROR_REASON_COLUMN_LENGTH, "batch.bases",
       [](Batch& batch) { batch.mutable_bases()->Resize(1, 0); }},
      {v1::ERROR_REASON_OUT_OF_RANGE, "batch.bases[",
       [](Batch& batch) {
         batch.mutable_bases()->Resize(static_cast<int>(batch.operations()), 0);
         batch.set_bases(1, 2);  // itself
       }},
      {v1::ERROR_REASON_OUT_OF_RANGE, "batch.bases[",
       [](Batch& batch) {
         batch.mutable_bases()->Resize(static_cast<int>(batch.operations()), 0);
         batch.set_bases(0, UINT32_MAX);
       }},
  };
}

RC_GTEST_PROP(BatchCheckPropertyTest, EveryWayToBreakABatchIsNamed, ()) {
  Operations operations = AnyOperations();
  if (operations.size() == 1) operations.push_back(operations.front());
  const v1::OperationBatch good = BatchOf(operations);
  for (const Breakage& breakage : Breakages()) {
    v1::OperationBatch batch = good;
    breakage.apply(batch);
    const MaybeProblem problem = WhyBad(batch, kLimits);
    RC_ASSERT(problem.has_value());
    RC_ASSERT(problem->reason() == breakage.reason);
    RC_ASSERT(problem->field().starts_with(breakage.field));
    RC_ASSERT(!problem->value().empty() && !problem->allowed().empty());
  }
}

RC_GTEST_PROP(BatchCheckPropertyTest, ABaseWithoutAValueIsRefused, ()) {
  Operations operations = AnyOperations();
  operations.push_back({.kind = v1::OPERATION_KIND_MUNMAP});
  const auto base = static_cast<uint32_t>(operations.size());
  operations.push_back({.kind = v1::OPERATION_KIND_MUNMAP, .base = base});
  const MaybeProblem problem = WhyBad(BatchOf(operations), {.max_operations = 100});
  RC_ASSERT(problem.has_value());
  RC_ASSERT(problem->reason() == v1::ERROR_REASON_OUT_OF_RANGE);
  RC_ASSERT(problem->field() == "batch.bases[" + std::to_string(base) + "]");
}

RC_GTEST_PROP(BatchCheckPropertyTest, AnyBytesAreAcceptedOrNamed, ()) {
  const auto small = rc::gen::inRange<uint32_t>(0, 8);
  v1::OperationBatch batch;
  batch.set_operations(*small);
  for (uint32_t i = *small; i > 0; --i) {
    batch.mutable_kinds()->Add(*rc::gen::inRange(-1, 56));
  }
  for (uint32_t i = *small; i > 0; --i) batch.add_addresses(i);
  for (uint32_t i = *small; i > 0; --i) batch.add_lengths(i);
  for (uint32_t i = *small; i > 0; --i) batch.add_arguments(i);
  for (uint32_t i = *small; i > 0; --i) batch.add_bases(*small);
  const MaybeProblem problem = WhyBad(batch, kLimits);
  if (problem) {
    RC_ASSERT(problem->field().starts_with("batch."));
  } else {
    RC_ASSERT(OperationsOf(batch).size() == batch.operations());
  }
}

v1::OperationBatch Faults(uint32_t operations) {
  v1::OperationBatch batch;
  BatchBuilder builder(batch);
  for (uint64_t i = 0; i < operations; ++i) {
    builder.Fault(v1::ACCESS_KIND_WRITE, {.address = i * 4096});
  }
  return batch;
}

TEST(BatchCheckTest, AFullBatchOfFaultsIsGood) { EXPECT_FALSE(WhyBad(Faults(60), kLimits)); }

TEST(BatchCheckTest, TooManyOperationsNameTheLimit) {
  const MaybeProblem problem = WhyBad(Faults(61), kLimits);
  ASSERT_TRUE(problem);
  EXPECT_EQ(problem->field(), "batch.operations");
  EXPECT_EQ(problem->value(), "61");
  EXPECT_EQ(problem->allowed(), "1 to 60 (Limits.max_batch_operations)");
}

TEST(BatchCheckTest, AMillionItemsAreRefusedByTheirNumber) {
  v1::OperationBatch batch = Faults(1);
  batch.set_operations(1'000'000);
  batch.mutable_addresses()->Resize(1'000'000, 0);
  const MaybeProblem problem = WhyBad(batch, kLimits);
  ASSERT_TRUE(problem);
  EXPECT_EQ(problem->reason(), v1::ERROR_REASON_OUT_OF_RANGE);
  EXPECT_EQ(problem->field(), "batch.operations");
}

TEST(BatchCheckTest, AWrongColumnSaysHowManyThereAreAndWhatIsAllowed) {
  v1::OperationBatch batch = Faults(3);
  batch.add_lengths(1);
  batch.add_lengths(2);
  const MaybeProblem problem = WhyBad(batch, kLimits);
  ASSERT_TRUE(problem);
  EXPECT_EQ(problem->reason(), v1::ERROR_REASON_COLUMN_LENGTH);
  EXPECT_EQ(problem->field(), "batch.lengths");
  EXPECT_EQ(problem->value(), "2 elements");
  EXPECT_EQ(problem->allowed(), "none, 1 for all, or 3, one for each operation");
}

TEST(BatchCheckTest, AnUnknownKindIsNamedWithItsIndex) {
  v1::OperationBatch batch = Faults(3);
  batch.mutable_kinds()->Resize(3, v1::OPERATION_KIND_FAULT_READ);
  batch.mutable_kinds()->Set(2, 49);
  const MaybeProblem problem = WhyBad(batch, kLimits);
  ASSERT_TRUE(problem);
  EXPECT_EQ(problem->reason(), v1::ERROR_REASON_UNKNOWN_ENUM_VALUE);
  EXPECT_EQ(problem->field(), "batch.kinds[2]");
  EXPECT_EQ(problem->value(), "49");
}

TEST(BatchCheckTest, OneKindForAllTakesItsArgumentsForEach) {
  v1::OperationBatch batch = Faults(3);
  batch.set_kinds(0, v1::OPERATION_KIND_MPROTECT);
  batch.add_arguments(1);
  const MaybeProblem problem = WhyBad(batch, kLimits);
  ASSERT_TRUE(problem);
  EXPECT_EQ(problem->field(), "batch.arguments");
  EXPECT_EQ(problem->value(), "1 elements");
  EXPECT_EQ(problem->allowed(), "3, as many as its operations take together");
}

TEST(ErrorDetailTest, AValueIsCutBetweenCharacters) {
  // 255 bytes, then characters of two: the 256th byte would be half of one.
  std::string value(255, 'x');
  for (int i = 0; i < 10; ++i) value += "\u00e9";
  const v1::ErrorDetail detail =
      MakeProblem(v1::ERROR_REASON_OUT_OF_RANGE, {.field = "f", .value = value, .allowed = "a"});
  EXPECT_EQ(detail.value(), std::string(255, 'x'));
}

}  // namespace
}  // namespace faultline::columns

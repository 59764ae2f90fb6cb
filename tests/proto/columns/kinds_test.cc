// SPDX-License-Identifier: Apache-2.0
//
// Tests of proto/columns/kinds.h: the table knows every kind of attach.proto and nothing else, and
// what it says of arguments and values is what the builder's adders do.
//
// The comments of attach.proto are no data, so the numbers stand here once more.
#include "proto/columns/kinds.h"

#include <climits>

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "faultline/v1/attach.pb.h"

namespace faultline::columns {
namespace {

TEST(KindsTest, EveryKindOfTheApiIsKnownButUnspecified) {
  const auto& kinds = *v1::OperationKind_descriptor();
  for (int i = 0; i < kinds.value_count(); ++i) {
    const int kind = kinds.value(i)->number();
    EXPECT_EQ(TraitsOf(kind).known(), kind != v1::OPERATION_KIND_UNSPECIFIED)
        << kinds.value(i)->name();
  }
}

TEST(KindsTest, NumbersThatAreNoKindAreUnknown) {
  for (const int kind : {INT_MIN, -1, 13, 19, 33, 49, 53, 1'000, INT_MAX}) {
    ASSERT_FALSE(v1::OperationKind_IsValid(kind)) << kind;
    EXPECT_FALSE(TraitsOf(kind).known()) << kind;
    EXPECT_EQ(TraitsOf(kind).arguments, 0) << kind;
  }
}

TEST(KindsTest, AccessesAreTheKindsBelowMmap) {
  for (int kind = 1; kind < static_cast<int>(kKinds); ++kind) {
    if (TraitsOf(kind).known()) {
      EXPECT_EQ(TraitsOf(kind).is_access(), kind < v1::OPERATION_KIND_MMAP) << kind;
    }
  }
}

TEST(KindsTest, ArgumentsAndValuesAreThoseOfTheApi) {
  const auto expect = [](v1::OperationKind kind, int arguments, bool gives_value) {
    EXPECT_EQ(TraitsOf(kind).arguments, arguments) << v1::OperationKind_Name(kind);
    EXPECT_EQ(TraitsOf(kind).gives_value, gives_value) << v1::OperationKind_Name(kind);
  };
  expect(v1::OPERATION_KIND_FAULT_WRITE, 0, false);
  expect(v1::OPERATION_KIND_LOAD, 0, true);
  expect(v1::OPERATION_KIND_STORE, 1, false);
  expect(v1::OPERATION_KIND_TOUCH_RANGE_READ, 0, true);
  expect(v1::OPERATION_KIND_MMAP, 5, true);
  expect(v1::OPERATION_KIND_MUNMAP, 0, false);
  expect(v1::OPERATION_KIND_MPROTECT, 1, false);
  expect(v1::OPERATION_KIND_MREMAP, 3, true);
  expect(v1::OPERATION_KIND_MADVISE, 1, false);
  expect(v1::OPERATION_KIND_BRK, 0, true);
  expect(v1::OPERATION_KIND_MLOCKALL, 1, false);
  expect(v1::OPERATION_KIND_FORK, 0, true);
  expect(v1::OPERATION_KIND_WAIT_PROGRESS, 1, false);
  expect(v1::OPERATION_KIND_WAIT_CLOCK, 0, true);
  expect(v1::OPERATION_KIND_PAUSE, 0, false);
}

}  // namespace
}  // namespace faultline::columns

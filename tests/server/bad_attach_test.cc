// SPDX-License-Identifier: Apache-2.0
//
// Bad input to Attach, field by field: each ends the stream with its documented error, which names
// field, value and what is allowed, and nothing has changed afterwards. Where the transport itself
// refuses, by the size of a message, that is so, too.
#include <functional>
#include <string>
#include <vector>

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/mm/abi.h"
#include "tests/server/testing/refusals.h"
#include "tests/server/testing/served.h"

namespace faultline::server::testing {
namespace {

/// Something wrong with a message, and what is said about it.
template <class Message>
struct Bad {
  v1::ErrorReason reason;
  std::string field;
  std::string value;
  std::function<void(Message&)> spoil;
};

constexpr auto kRange = v1::ERROR_REASON_OUT_OF_RANGE;
constexpr auto kName = v1::ERROR_REASON_INVALID_NAME;
constexpr auto kColumn = v1::ERROR_REASON_COLUMN_LENGTH;
constexpr auto kKind = v1::ERROR_REASON_UNKNOWN_ENUM_VALUE;

class BadAttachTest : public ::testing::Test {
 protected:
  BadAttachTest() {
    (void)served_.MapPages(mm_, 4);
    state_ = served_.State();
  }
  void TearDown() override {
    EXPECT_TRUE(Eventually([&] { return served_.default_machine().mm_count() == 1; }));
    EXPECT_EQ(served_.State(), state_);
  }
  v1::AttachOpen Open() {
    v1::AttachOpen open;
    open.set_mm(mm_);
    return open;
  }
  void ExpectOpeningRefused(const v1::AttachOpen& open, const Bad<v1::AttachOpen>& bad) {
    Attached thread(served_.memory(), open);
    EXPECT_FALSE(thread.opened());
    const grpc::Status status = thread.Finish();
    EXPECT_THAT(status, IsRefusal(bad.reason, bad.field, bad.value)) << open.ShortDebugString();
  }
  /// Three calls that do nothing, with each column at its full length.
  v1::OperationBatch Batch() {
    v1::OperationBatch batch;
    batch.set_operations(3);
    for (int i = 0; i < 3; ++i) {
      batch.add_kinds(v1::OPERATION_KIND_MPROTECT);
      batch.add_addresses(served_.Use(mm_).mm().brk().value());
      batch.add_lengths(0);
      batch.add_arguments(0);
      batch.add_bases(0);
    }
    return batch;
  }

  Served served_;
  const std::string mm_ = served_.MakeMm();
  std::string state_;
};

TEST_F(BadAttachTest, Openings) {
  const std::string number = mm_.substr(mm_.rfind('/') + 1);
  const std::string foreign =
      absl::StrCat("machines/default/mms/", std::stoull(number) ^ (uint64_t{1} << 40));
  const std::vector<Bad<v1::AttachOpen>> all_bad = {
      {v1::ERROR_REASON_MISSING_FIELD, "open.mm", "", [](auto& o) { o.clear_mm(); }},
      {kRange, "open.machine", "machines/default",
       [](auto& o) { o.set_machine("machines/default"); }},
      {kName, "open.mm", "nonsense", [](auto& o) { o.set_mm("nonsense"); }},
      {kName, "open.mm", mm_ + "/threads/t", [this](auto& o) { o.set_mm(mm_ + "/threads/t"); }},
      {v1::ERROR_REASON_NOT_FOUND, "open.mm", "machines/absent/mms/" + number,
       [&](auto& o) { o.set_mm("machines/absent/mms/" + number); }},
      {v1::ERROR_REASON_OTHER_INSTANCE, "open.mm", foreign, [&](auto& o) { o.set_mm(foreign); }},
      {kName, "open.machine", "default", [](auto& o) { o.clear_mm(), o.set_machine("default"); }},
      {v1::ERROR_REASON_NOT_FOUND, "open.machine", "machines/absent",
       [](auto& o) { o.clear_mm(), o.set_machine("machines/absent"); }},
      {kName, "open.thread_id", "9", [](auto& o) { o.set_thread_id("9"); }},
      {kName, "open.thread_id", "A", [](auto& o) { o.set_thread_id("A"); }},
      {kName, "open.thread_id", "a/b", [](auto& o) { o.set_thread_id("a/b"); }},
      {kName, "open.thread_id", std::string(64, 'a'),
       [](auto& o) { o.set_thread_id(std::string(64, 'a')); }},
      {kRange, "open.progress_group", std::string(64, 'g'),
       [](auto& o) { o.set_progress_group(std::string(64, 'g')); }},
      {kRange, "open.event_ring", "3", [](auto& o) { o.set_event_ring(3); }},
      {kRange, "open.event_ring", "131072", [](auto& o) { o.set_event_ring(131'072); }},
      {kRange, "open.event_ring", "4294967295", [](auto& o) { o.set_event_ring(UINT32_MAX); }},
      {kRange, "open.new_mm.description", std::string(256, 'x'), [](auto& o) {
         o.clear_mm();
         o.set_machine("machines/default");
         o.mutable_new_mm()->set_description(std::string(257, 'x'));
       }}};
  for (const auto& bad : all_bad) {
    v1::AttachOpen open = Open();
    bad.spoil(open);
    ExpectOpeningRefused(open, bad);
  }
}

TEST_F(BadAttachTest, WhatIsTaken) {
  v1::AttachOpen open = Open();
  open.set_thread_id("a");
  open.set_progress_group("g");
  open.set_progress_number(UINT64_MAX);
  Attached first(served_.memory(), open);
  ASSERT_TRUE(first.opened());
  ExpectOpeningRefused(open, {v1::ERROR_REASON_ALREADY_EXISTS, "open.thread_id", "a", {}});
  open.set_thread_id("b");
  ExpectOpeningRefused(
      open, {v1::ERROR_REASON_ALREADY_EXISTS, "open.progress_number", "18446744073709551615", {}});
  EXPECT_THAT(first.End(), IsOk());
}

TEST_F(BadAttachTest, MessagesInAWrongOrder) {
  {
    Attached thread(served_.memory());
    EXPECT_TRUE(thread.Send(Batch()));
    EXPECT_THAT(thread.Finish(), IsRefusal(v1::ERROR_REASON_PROTOCOL, "request"));
  }
  {
    Attached thread(served_.memory());
    EXPECT_TRUE(thread.Send(v1::AttachRequest()));
    EXPECT_THAT(thread.Finish(), IsRefusal(v1::ERROR_REASON_PROTOCOL, "request"));
  }
  {
    Attached thread(served_.memory(), Open());
    v1::AttachRequest again;
    *again.mutable_open() = Open();
    EXPECT_TRUE(thread.Send(again));
    EXPECT_THAT(thread.Finish(), IsRefusal(v1::ERROR_REASON_PROTOCOL, "request"));
  }
  {
    Attached thread(served_.memory(), Open());
    EXPECT_TRUE(thread.Send(v1::AttachRequest()));
    EXPECT_THAT(thread.Finish(), IsRefusal(v1::ERROR_REASON_PROTOCOL, "request"));
  }
  {
    Attached thread(served_.memory());
    EXPECT_THAT(thread.End(), IsOk()) << "nothing was asked for";
  }
}

TEST_F(BadAttachTest, Batches) {
  const std::vector<Bad<v1::OperationBatch>> all_bad = {
      {kRange, "batch.operations", "0", [](auto& b) { b.set_operations(0); }},
      {kRange, "batch.operations", "16385", [](auto& b) { b.set_operations(16'385); }},
      {kRange, "batch.operations", "1000000", [](auto& b) { b.set_operations(1'000'000); }},
      {kRange, "batch.operations", "4294967295", [](auto& b) { b.set_operations(UINT32_MAX); }},
      {kColumn, "batch.kinds", "0 elements", [](auto& b) { b.clear_kinds(); }},
      {kColumn, "batch.kinds", "2 elements", [](auto& b) { b.mutable_kinds()->RemoveLast(); }},
      {kColumn, "batch.kinds", "4 elements",
       [](auto& b) { b.add_kinds(v1::OPERATION_KIND_PAUSE); }},
      {kColumn, "batch.addresses", "1 elements",
       [](auto& b) { b.mutable_addresses()->Truncate(1); }},
      {kColumn, "batch.addresses", "4 elements", [](auto& b) { b.add_addresses(0); }},
      {kColumn, "batch.lengths", "2 elements", [](auto& b) { b.mutable_lengths()->Truncate(2); }},
      {kColumn, "batch.lengths", "4 elements", [](auto& b) { b.add_lengths(0); }},
      {kColumn, "batch.arguments", "2 elements",
       [](auto& b) { b.mutable_arguments()->Truncate(2); }},
      {kColumn, "batch.arguments", "0 elements", [](auto& b) { b.clear_arguments(); }},
      {kColumn, "batch.arguments", "4 elements", [](auto& b) { b.add_arguments(0); }},
      {kColumn, "batch.bases", "1 elements", [](auto& b) { b.mutable_bases()->Truncate(1); }},
      {kColumn, "batch.bases", "4 elements", [](auto& b) { b.add_bases(0); }},
      {kKind, "batch.kinds[1]", "0",
       [](auto& b) { b.set_kinds(1, v1::OPERATION_KIND_UNSPECIFIED); }},
      {kKind, "batch.kinds[2]", "13",
       [](auto& b) { b.set_kinds(2, static_cast<v1::OperationKind>(13)); }},
      {kKind, "batch.kinds[0]", "-1",
       [](auto& b) { b.set_kinds(0, static_cast<v1::OperationKind>(-1)); }},
      {kKind, "batch.kinds[0]", "2147483647",
       [](auto& b) { b.set_kinds(0, static_cast<v1::OperationKind>(INT32_MAX)); }},
      {kRange, "batch.bases[0]", "1", [](auto& b) { b.set_bases(0, 1); }},
      {kRange, "batch.bases[1]", "4294967295", [](auto& b) { b.set_bases(1, UINT32_MAX); }},
      {kRange, "batch.bases[2]", "3", [](auto& b) { b.set_bases(2, 3); }},
      {kRange, "batch.bases[2]", "1", [](auto& b) { b.set_bases(2, 1); }},
  };
  for (const auto& bad : all_bad) {
    Attached thread(served_.memory(), Open());
    ASSERT_TRUE(thread.opened());
    v1::OperationBatch batch = Batch();
    bad.spoil(batch);
    EXPECT_TRUE(thread.Send(batch));
    EXPECT_EQ(thread.Receive(), std::nullopt);
    const grpc::Status status = thread.Finish();
    EXPECT_THAT(status, IsRefusal(bad.reason, bad.field, bad.value)) << batch.ShortDebugString();
  }
}

TEST_F(BadAttachTest, AMillionOperations) {
  constexpr uint32_t kMillion = 1'000'000;
  v1::OperationBatch batch;
  batch.set_operations(kMillion);
  batch.mutable_kinds()->Resize(static_cast<int>(kMillion), v1::OPERATION_KIND_MUNMAP);
  {
    Attached thread(served_.memory(), Open());
    (void)thread.Send(batch);  // 1 MB: a message like others
    EXPECT_THAT(thread.Finish(), IsRefusal(kRange, "batch.operations"));
  }
  batch.mutable_addresses()->Resize(static_cast<int>(kMillion), 0x10'0000);
  Attached thread(served_.memory(), Open());
  (void)thread.Send(batch);  // 9 MB: the transport refuses it
  EXPECT_EQ(thread.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Eventually([&] { return served_.registry().thread_count() == 0; }));
}

TEST_F(BadAttachTest, AsLargeABatchAsIsAllowedIsCarriedOut) {
  const auto most = static_cast<uint32_t>(Limits().max_batch_operations);
  v1::OperationBatch batch;
  batch.set_operations(most);
  batch.mutable_kinds()->Resize(static_cast<int>(most), v1::OPERATION_KIND_MREMAP);
  batch.mutable_addresses()->Resize(static_cast<int>(most), UINT64_MAX);
  batch.mutable_lengths()->Resize(static_cast<int>(most), UINT64_MAX);
  batch.mutable_arguments()->Resize(static_cast<int>(3 * most), UINT64_MAX);
  batch.mutable_bases()->Resize(static_cast<int>(most), 0);
  batch.set_with_latencies(true);
  batch.set_with_rungs(true);
  Attached thread(served_.memory(), Open());
  EXPECT_EQ(thread.Run(batch).completed(), most);
  EXPECT_THAT(thread.End(), IsOk());
}

TEST_F(BadAttachTest, RawArgumentsAreAnsweredByTheSimulatedKernel) {
  constexpr uint64_t kLastPage = UINT64_MAX - kPageSize + 1;
  for (const uint64_t length : {uint64_t{0}, kLastPage, UINT64_MAX}) {
    for (const uint64_t address : {uint64_t{1}, kLastPage, UINT64_MAX, uint64_t{1} << 63}) {
      v1::OperationBatch batch;
      // All that take an address and cannot succeed there; of each argument the greatest.
      for (const int kind : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 21, 22, 23, 24, 25}) {
        batch.add_kinds(static_cast<v1::OperationKind>(kind));
        constexpr int kArguments[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0,
                                      0, 0, 0, 0, 0, 0, 0, 5, 0, 1, 3, 1, 1};
        for (int i = 0; i < kArguments[kind]; ++i) batch.add_arguments(UINT64_MAX);
        batch.add_addresses(address);
      }
      batch.set_operations(static_cast<uint32_t>(batch.kinds_size()));
      batch.add_lengths(length);
      Attached thread(served_.memory(), Open());
      const v1::OperationResults results = thread.Run(batch);
      ASSERT_EQ(results.outcomes_size(), batch.kinds_size());
      for (int i = 0; i < results.outcomes_size(); ++i) {
        EXPECT_NE(results.outcomes(i), 0U) << batch.kinds(i) << " at " << address;
      }
      EXPECT_THAT(thread.End(), IsOk());
    }
  }
  state_ = served_.State();  // faults were counted; it is valid
}

TEST_F(BadAttachTest, ARangeWithoutEndIsTouchedToItsFirstHole) {
  v1::OperationBatch batch;
  batch.set_operations(2);
  batch.add_kinds(v1::OPERATION_KIND_TOUCH_RANGE_READ);
  batch.add_kinds(v1::OPERATION_KIND_TOUCH_RANGE_WRITE);
  uint64_t start = 0;
  served_.Use(mm_).mm().ForEachVma(
      [&](const MapsLine& line) { start = line.range.start().value(); });
  batch.add_addresses(start + 5);
  batch.add_addresses(uint64_t{1} << 62);  // not canonical
  batch.add_lengths(UINT64_MAX);
  Attached thread(served_.memory(), Open());
  const v1::OperationResults results = thread.Run(batch);
  ASSERT_EQ(results.outcomes_size(), 2);
  EXPECT_EQ(results.outcomes(0), 11U + 256U);
  EXPECT_EQ(results.values(0), 4U);
  EXPECT_EQ(results.outcomes(1), 11U + 256U * 128U);
  EXPECT_THAT(thread.End(), IsOk());
  state_ = served_.State();
}

}  // namespace
}  // namespace faultline::server::testing

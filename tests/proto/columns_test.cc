// SPDX-License-Identifier: Apache-2.0
//
// What batches of operations and their results weigh on the wire: columns are packed, and what is
// left out or given once costs nothing. The sizes are printed; each has an upper bound.
//
// Sizes are exact and the same everywhere, so the bounds have no slack for noise, only for the few
// bytes around the columns.
#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>

#include <absl/strings/str_format.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "core/base/types.h"
#include "faultline/v1/attach.pb.h"
#include "faultline/v1/lab.pb.h"
#include "faultline/v1/machine.pb.h"
#include "faultline/v1/memory.pb.h"
#include "faultline/v1/observe.pb.h"

namespace faultline {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

constexpr uint32_t kOperations = 4096;
constexpr uint64_t kBase = 0x7f12'3456'7000;
/// What a message has beside its columns: marks, counts, tags and lengths.
constexpr double kAround = 64.0 / kOperations;

/// Bytes per operation of a message that is as long as a batch.
double BytesPerOperation(std::string_view what, const google::protobuf::Message& message) {
  const double bytes = static_cast<double>(message.ByteSizeLong()) / kOperations;
  std::cout << absl::StrFormat("%-52s %7d bytes %7.3f per operation\n", what,
                               message.ByteSizeLong(), bytes);
  return bytes;
}

uint64_t PageAt(uint32_t i) { return kBase + i * kPageSize; }

v1::AttachRequest FaultBatch() {
  v1::AttachRequest request;
  v1::OperationBatch& batch = *request.mutable_batch();
  batch.set_batch_id(1);
  batch.set_operations(kOperations);
  batch.add_kinds(v1::OPERATION_KIND_FAULT_WRITE);
  for (uint32_t i = 0; i < kOperations; ++i) batch.add_addresses(PageAt(i));
  return request;
}

v1::AttachResponse Results() {
  v1::AttachResponse response;
  response.set_instance_epoch(UINT64_MAX);
  v1::OperationResults& results = *response.mutable_results();
  results.set_batch_id(1);
  results.set_completed(kOperations);
  results.set_begin_ns(UINT64_MAX);
  results.set_elapsed_ns(400'000);
  return response;
}

TEST(ColumnsTest, FaultsOfOneKindAreTheirAddresses) {
  EXPECT_LE(BytesPerOperation("batch of faults of one kind", FaultBatch()), 8 + kAround);
}

TEST(ColumnsTest, AKindForEachOperationIsOneByteMore) {
  v1::AttachRequest request = FaultBatch();
  v1::OperationBatch& batch = *request.mutable_batch();
  batch.clear_kinds();
  for (uint32_t i = 0; i < kOperations; ++i) {
    batch.add_kinds(i % 2 == 0 ? v1::OPERATION_KIND_FAULT_WRITE
                               : v1::OPERATION_KIND_FAULT_READ_KERNEL);
  }
  EXPECT_LE(BytesPerOperation("batch of faults of two kinds", request), 9 + kAround);
}

// Half of them map memory wherever there is room, each other one unmaps what was mapped.
TEST(ColumnsTest, MapsAndUnmapsThatReferToThemTakeFewArguments) {
  v1::AttachRequest request;
  v1::OperationBatch& batch = *request.mutable_batch();
  batch.set_batch_id(1);
  batch.set_operations(kOperations);
  batch.add_lengths(64 * kPageSize);
  for (uint32_t i = 0; i < kOperations; i += 2) {
    batch.add_kinds(v1::OPERATION_KIND_MMAP);
    batch.add_bases(0);
    for (const uint64_t argument : {3, 0x22, 0, 0, 0}) batch.add_arguments(argument);
    batch.add_kinds(v1::OPERATION_KIND_MUNMAP);
    batch.add_bases(i + 1);
  }
  EXPECT_LE(BytesPerOperation("batch of mmap and munmap of what was mapped", request),
            1 + 1.5 + 2.5 + kAround);
}

TEST(ColumnsTest, ResultsWithoutFailuresAreNothing) {
  EXPECT_LE(BytesPerOperation("results: all well", Results()), kAround);
}

TEST(ColumnsTest, OneFailureCostsAByteForEach) {
  v1::AttachResponse response = Results();
  for (uint32_t i = 0; i < kOperations; ++i) {
    response.mutable_results()->add_outcomes(i == 17 ? 11 + 256 * 1 : 0);
  }
  EXPECT_LE(BytesPerOperation("results: one SIGSEGV", response), 1 + kAround);
}

TEST(ColumnsTest, LatenciesAndRungsAreTwoBytesAndOne) {
  v1::AttachResponse response = Results();
  v1::OperationResults& results = *response.mutable_results();
  for (uint32_t i = 0; i < kOperations; ++i) {
    results.add_latencies_ns(90 + i);  // up to 4 us
    results.add_rungs(1u << (v1::FAULT_RUNG_VMA_LOCK - 1));
  }
  EXPECT_LE(BytesPerOperation("results: latencies and rungs", response), 3 + kAround);
}

TEST(ColumnsTest, AddressesOfMapsAreSevenBytes) {
  v1::AttachResponse response = Results();
  for (uint32_t i = 0; i < kOperations; ++i) response.mutable_results()->add_values(PageAt(i));
  EXPECT_LE(BytesPerOperation("results: addresses of mmap", response), 7 + kAround);
}

/// Every repeated number in the messages of `file` is packed.
void ExpectPacked(const FileDescriptor& file) {
  for (int m = 0; m < file.message_type_count(); ++m) {
    const Descriptor& message = *file.message_type(m);
    for (int f = 0; f < message.field_count(); ++f) {
      const FieldDescriptor& field = *message.field(f);
      EXPECT_TRUE(field.is_packed() || !field.is_packable()) << field.full_name();
    }
  }
}

TEST(ColumnsTest, RepeatedNumbersArePackedInTheWholeApi) {
  for (const auto* message :
       {v1::AttachRequest::descriptor(), v1::Machine::descriptor(), v1::Mm::descriptor(),
        v1::PageTable::descriptor(), v1::Statistics::descriptor(), v1::Workload::descriptor(),
        v1::ExploreRequest::descriptor()}) {
    ExpectPacked(*message->file());
  }
}

}  // namespace
}  // namespace faultline

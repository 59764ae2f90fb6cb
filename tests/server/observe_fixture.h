// SPDX-License-Identifier: Apache-2.0
//
// What tests of ObserveService share: a served mm with some memory in it, calls of the service, and
// its streams read message by message.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>
#include <gtest/gtest.h>

#include "core/mm/abi.h"
#include "faultline/v1/observe.grpc.pb.h"
#include "tests/server/testing/refusals.h"
#include "tests/server/testing/served.h"

namespace faultline::server::testing {

using ObserveStub = v1::ObserveService::Stub;

class ObserveTest : public ::testing::Test {
 protected:
  explicit ObserveTest(const Limits& limits = {})
      : served_(limits), stub_(v1::ObserveService::NewStub(served_.NewChannel())) {}

  template <class Request, class Response>
  Reply<Response> Call(grpc::Status (ObserveStub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                       const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    Reply<Response> reply;
    reply.status = ((*stub_).*method)(&context, request, &reply.response);
    return reply;
  }

  /// Stores a word in each of `pages` pages from `address` on.
  void Fill(uint64_t address, uint64_t pages) {
    const MmUse use = served_.Use(mm_);
    for (uint64_t page = 0; page < pages; ++page) {
      ASSERT_TRUE(use.mm().Write(VirtAddr(address + page * kPageSize), 7).ok());
    }
  }
  void Unmap(uint64_t address, uint64_t pages) {
    const MmUse use = served_.Use(mm_);
    ASSERT_TRUE(use.mm().Munmap(VirtAddr(address), pages * kPageSize).ok());
  }
  void ExitMm() {
    v1::ExitMmRequest request;
    request.set_name(mm_);
    EXPECT_THAT(served_.Call(&MemoryStub::ExitMm, request).status, IsOk());
  }

  Served served_;
  const std::string mm_ = served_.MakeMm();
  const std::unique_ptr<ObserveStub> stub_;
};

/// One server stream.
template <class Response>
class Stream {
 public:
  template <class Request>
  using Method = std::unique_ptr<grpc::ClientReader<Response>> (ObserveStub::*)(
      grpc::ClientContext*, const Request&);

  template <class Request>
  Stream(ObserveStub& stub, Method<Request> method, const Request& request) {
    context_.set_deadline(std::chrono::system_clock::now() + kPatience);
    reader_ = (stub.*method)(&context_, request);
  }
  ~Stream() {
    context_.TryCancel();
    (void)Finish();
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /// Until the server has begun.
  void AwaitBegin() { reader_->WaitForInitialMetadata(); }
  /// The next message; nothing when the stream has ended.
  [[nodiscard]] std::optional<Response> Next() {
    Response response;
    if (!reader_->Read(&response)) return {};
    return response;
  }
  void Cancel() { context_.TryCancel(); }
  /// Reads what is left, and the status.
  grpc::Status Finish() {
    while (!status_.has_value() && Next().has_value()) {
    }
    if (!status_.has_value()) status_ = reader_->Finish();
    return *status_;
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<Response>> reader_;
  std::optional<grpc::Status> status_;
};

}  // namespace faultline::server::testing

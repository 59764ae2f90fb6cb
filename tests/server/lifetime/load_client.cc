// SPDX-License-Identifier: Apache-2.0
//
// A client that does nothing but load a server, for tests that end it, or the server, in the middle
// of it:
//
//   load_client TARGET streams COUNT SECONDS MM   COUNT threads on one mm, batches without a pause
//   load_client TARGET batches MM                 the same for ever, with batches in flight and an
//                                                 mm of its own that forks
//   load_client TARGET unary THREADS MM           unary calls until the server takes no more
//
// Says "ready" on stdout when all of it is under way, and at the end a line of counts. Exits with 0
// if nothing failed that must not fail: a call that the server has begun.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <absl/strings/numbers.h>
#include <absl/strings/str_format.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "faultline/v1/memory.grpc.pb.h"
#include "proto/columns/batch_builder.h"

namespace faultline::server::testing {
namespace {

using Stub = v1::MemoryService::Stub;
using columns::BatchBuilder;
using Clock = std::chrono::steady_clock;

constexpr uint64_t kPage = 4096;
constexpr uint64_t kReadWrite = 3;            // PROT_READ | PROT_WRITE
constexpr uint64_t kPrivateAnonymous = 0x22;  // MAP_PRIVATE | MAP_ANONYMOUS
constexpr uint64_t kPopulate = 0x8000;        // MAP_POPULATE

/// What was counted by all threads.
struct Counts {
  std::atomic<uint64_t> ok{0};
  std::atomic<uint64_t> refused{0};
  std::atomic<uint64_t> failed{0};
};

/// Says "ready" when it has been told so `count` times.
class Ready {
 public:
  explicit Ready(uint64_t count) : left_(count) {}
  void One() {
    if (left_.fetch_sub(1) != 1) return;
    absl::PrintF("ready\n");
    std::fflush(stdout);
  }

 private:
  std::atomic<uint64_t> left_;
};

/// Maps some pages, touches all, changes some, unmaps them: what takes every lock.
void FillBatch(v1::OperationBatch& message, int rounds) {
  BatchBuilder build(message);
  build.Start(1);
  for (int i = 0; i < rounds; ++i) {
    const uint32_t map =
        build.Mmap({0}, 16 * kPage, {.prot = kReadWrite, .flags = kPrivateAnonymous});
    build.TouchRange(v1::ACCESS_KIND_WRITE, BatchBuilder::Relative(map, 0), 16 * kPage);
    build.Mprotect(BatchBuilder::Relative(map, 4 * kPage), 4 * kPage, 1);
    build.Munmap(BatchBuilder::Relative(map, 0), 16 * kPage);
  }
}

/// One thread of the server's, driven until `end`.
void RunStream(Stub& stub, const v1::AttachOpen& open, Clock::time_point end, Ready& ready,
               Counts& counts) {
  constexpr int kInFlight = 2;
  grpc::ClientContext context;
  const auto stream = stub.Attach(&context);
  v1::AttachRequest request;
  *request.mutable_open() = open;
  v1::AttachResponse response;
  bool good = stream->Write(request) && stream->Read(&response);
  FillBatch(*request.mutable_batch(), 8);
  for (int i = 0; good && i < kInFlight; ++i) good = stream->Write(request);
  good = good && stream->Read(&response);
  ready.One();
  while (good && Clock::now() < end) {
    good = stream->Write(request) && stream->Read(&response) &&
           response.results().completed() == request.batch().operations();
    if (good) counts.ok.fetch_add(1, std::memory_order_relaxed);
  }
  stream->WritesDone();
  while (stream->Read(&response)) {
  }
  if (!stream->Finish().ok() || !good) counts.failed.fetch_add(1);
}

void RunStreams(Stub& stub, uint64_t count, std::chrono::seconds time, const v1::AttachOpen& open,
                Counts& counts) {
  Ready ready(count);
  std::vector<std::thread> threads;
  threads.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    threads.emplace_back([&] { RunStream(stub, open, Clock::now() + time, ready, counts); });
  }
  for (std::thread& thread : threads) thread.join();
}

/// Two threads on the mm, and one of an mm of its own that has a copy. Does not end by itself.
void RunBatches(Stub& stub, const std::string& mm, Counts& counts) {
  constexpr std::chrono::hours kForEver{24};
  v1::AttachOpen shared;
  shared.set_mm(mm);
  v1::AttachOpen own;
  own.set_machine("machines/default");
  Ready ready(3);
  std::thread forker([&] {
    grpc::ClientContext context;
    const auto stream = stub.Attach(&context);
    v1::AttachRequest request;
    *request.mutable_open() = own;
    v1::AttachResponse response;
    stream->Write(request);
    BatchBuilder build(*request.mutable_batch());
    build.Start(1);
    const uint32_t map =
        build.Mmap({0}, 1024 * kPage, {.prot = kReadWrite, .flags = kPrivateAnonymous});
    build.TouchRange(v1::ACCESS_KIND_WRITE, BatchBuilder::Relative(map, 0), 1024 * kPage);
    build.Fork();
    stream->Write(request);
    (void)(stream->Read(&response) && stream->Read(&response));
    build.Start(2);
    build.Pause(UINT64_MAX);
    stream->Write(request);
    ready.One();
    (void)stream->Read(&response);
  });
  std::thread other([&] { RunStream(stub, shared, Clock::now() + kForEver, ready, counts); });
  RunStream(stub, shared, Clock::now() + kForEver, ready, counts);
  other.join();
  forker.join();
}

/// What a call came to. Refused is what a server says that ends, and what could not be sent at all.
bool Count(const grpc::Status& status, Counts& counts) {
  if (status.ok()) {
    counts.ok.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  const std::string& message = status.error_message();
  const bool not_begun = status.error_code() == grpc::StatusCode::UNAVAILABLE &&
                         (message.find("DRAINING") != std::string::npos ||
                          message.find("failed to connect") != std::string::npos);
  (not_begun ? counts.refused : counts.failed).fetch_add(1);
  if (!not_begun) {
    absl::FPrintF(stderr, "load_client: code %d, %s\n", static_cast<int>(status.error_code()),
                  message);
  }
  return false;
}

/// Each thread: maps with pages, some ms of work, faults, unmaps, until a call is not carried out.
void RunUnary(Stub& stub, uint64_t count, const std::string& mm, Counts& counts) {
  constexpr int kRoundsBeforeReady = 10;
  Ready ready(count);
  const auto run = [&] {
    for (int round = 0;; ++round) {
      if (round == kRoundsBeforeReady) ready.One();
      v1::MmapRequest map;
      map.set_mm(mm);
      map.set_length(1024 * kPage);
      map.set_prot(kReadWrite);
      map.set_flags(kPrivateAnonymous | kPopulate);
      v1::MmapResponse mapped;
      grpc::ClientContext map_context;
      if (!Count(stub.Mmap(&map_context, map, &mapped), counts)) return;
      v1::FaultRequest fault;
      fault.set_mm(mm);
      fault.set_address(mapped.address());
      v1::FaultResponse faulted;
      grpc::ClientContext fault_context;
      if (!Count(stub.Fault(&fault_context, fault, &faulted), counts)) return;
      v1::MunmapRequest unmap;
      unmap.set_mm(mm);
      unmap.set_address(mapped.address());
      unmap.set_length(1024 * kPage);
      v1::MunmapResponse unmapped;
      grpc::ClientContext unmap_context;
      if (!Count(stub.Munmap(&unmap_context, unmap, &unmapped), counts)) return;
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(count);
  for (uint64_t i = 0; i < count; ++i) threads.emplace_back(run);
  for (std::thread& thread : threads) thread.join();
}

int Main(const std::vector<std::string>& arguments) {
  const auto number = [&](size_t i) {
    uint64_t value = 0;
    return i < arguments.size() && absl::SimpleAtoi(arguments[i], &value) ? value : 0;
  };
  if (arguments.size() < 3) return 2;
  const auto stub = v1::MemoryService::NewStub(
      grpc::CreateChannel(arguments[0], grpc::InsecureChannelCredentials()));
  Counts counts;
  if (arguments[1] == "streams" && arguments.size() == 5) {
    v1::AttachOpen open;
    open.set_mm(arguments[4]);
    RunStreams(*stub, number(2), std::chrono::seconds(number(3)), open, counts);
  } else if (arguments[1] == "batches") {
    RunBatches(*stub, arguments[2], counts);
  } else if (arguments[1] == "unary" && arguments.size() == 4) {
    RunUnary(*stub, number(2), arguments[3], counts);
  } else {
    return 2;
  }
  absl::PrintF("ok %d refused %d failed %d\n", counts.ok.load(), counts.refused.load(),
               counts.failed.load());
  return counts.failed.load() == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace faultline::server::testing

int main(int argc, char** argv) {
  return faultline::server::testing::Main({argv + 1, argv + argc});
}

// SPDX-License-Identifier: Apache-2.0
//
// The clients; see rpc_load.h.
#include "tests/bench/rpc_load.h"

#include <barrier>
#include <chrono>
#include <deque>
#include <utility>

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "core/base/check.h"
#include "proto/columns/batch_builder.h"
#include "proto/columns/results_reader.h"
#include "tests/bench/pairs.h"

namespace faultline::bench {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kDontNeed = 4;      // MADV_DONTNEED
constexpr uint64_t kReadWrite = 3;     // PROT_READ | PROT_WRITE
constexpr uint64_t kAnonymous = 0x22;  // MAP_PRIVATE | MAP_ANONYMOUS
constexpr uint64_t kFixed = 0x10;      // MAP_FIXED

void CheckOk(const grpc::Status& status) {
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.error_message().c_str());
  MM_CHECK(status.ok());
}

}  // namespace

std::vector<RpcWindow> Measure(const std::vector<Load*>& loads, const ServerProcess& server,
                               double seconds) {
  std::ptrdiff_t clients = 0;
  for (const Load* load : loads) clients += load->clients();
  std::barrier start(clients + 1);
  std::atomic<bool> stop{false};
  std::vector<std::atomic<uint64_t>> counts(loads.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < loads.size(); ++i) {
    for (int c = 0; c < loads[i]->clients(); ++c) {
      threads.emplace_back([&, i, body = loads[i]->Client(c)] {
        start.arrive_and_wait();
        uint64_t count = 0;
        while (!stop.load(std::memory_order_relaxed)) count += body();
        counts[i].fetch_add(count, std::memory_order_relaxed);
      });
    }
  }
  start.arrive_and_wait();
  const ForeignMeter meter;
  const int64_t client_before = OwnCpuNs();
  const int64_t server_before = server.CpuNs();
  const int64_t begin = NowNs();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) thread.join();
  const double elapsed = static_cast<double>(NowNs() - begin) * 1e-9;
  const int64_t client = OwnCpuNs() - client_before;
  const int64_t served = server.CpuNs() - server_before;
  // The server is a child of this process, but not this process.
  const double foreign = meter.Cores() - static_cast<double>(served) * 1e-9 / elapsed;
  std::vector<RpcWindow> windows;
  windows.reserve(counts.size());
  for (const auto& count : counts) {
    windows.push_back({.seconds = elapsed,
                       .operations = count.load(),
                       .client_cpu_ns = client,
                       .server_cpu_ns = served,
                       .foreign_cores = foreign});
  }
  return windows;
}

std::shared_ptr<grpc::Channel> NewChannel(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

RpcMm::RpcMm(const std::string& target, v1::Scheme scheme, uint64_t bytes)
    : stub_(NewChannel(target)) {
  v1::CreateMmRequest create;
  create.set_parent("machines/default");
  create.mutable_mm()->mutable_options()->mutable_fault()->set_scheme(scheme);
  v1::CreateMmResponse created;
  grpc::ClientContext create_context;
  CheckOk(stub_.CreateMm(&create_context, create, &created));

  v1::MmapRequest map;
  map.set_mm(created.mm().name());
  map.set_length(bytes);
  map.set_prot(kReadWrite);
  map.set_flags(kAnonymous);
  v1::MmapResponse mapped;
  grpc::ClientContext map_context;
  CheckOk(stub_.Mmap(&map_context, map, &mapped));
  MM_CHECK(mapped.error() == v1::ERRNO_UNSPECIFIED);
  name_ = created.mm().name();
  region_ = mapped.address();
}

RpcMm::~RpcMm() {
  v1::ExitMmRequest request;
  request.set_name(name_);
  v1::ExitMmResponse response;
  grpc::ClientContext context;
  CheckOk(stub_.ExitMm(&context, request, &response));
}

// --- Unary -------------------------------------------------------------------------------------

UnaryLoad::UnaryLoad(const std::string& target, Side side, const RpcMm& mm, int clients)
    : side_(side), mm_(mm), clients_(clients), channel_(NewChannel(target)) {}

Load::Body UnaryLoad::Client(int index) {
  v1::FaultRequest request;
  request.set_mm(mm_.name());
  request.set_address(mm_.region() + static_cast<uint64_t>(index) * kPage);
  request.set_access(v1::ACCESS_KIND_WRITE);
  const auto call = [request](auto& stub) {
    v1::FaultResponse response;
    grpc::ClientContext context;
    CheckOk(stub.Fault(&context, request, &response));
    MM_CHECK(response.result().signal() == 0);
    return uint64_t{1};
  };
  if (side_ == Side::kEmpty) {
    return [call, stub = std::make_shared<EmptyService::Stub>(channel_)] { return call(*stub); };
  }
  return [call, stub = std::make_shared<v1::MemoryService::Stub>(channel_)] { return call(*stub); };
}

// --- Streams -----------------------------------------------------------------------------------

struct StreamLoad::Stream {
  std::shared_ptr<grpc::Channel> channel;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReaderWriterInterface<v1::AttachRequest, v1::AttachResponse>> calls;
  v1::AttachRequest request;
  v1::AttachResponse response;
  std::deque<uint64_t> counted;  // of the batches under way
  uint32_t in_flight = 1;
};

StreamLoad::StreamLoad(const std::string& target, Side side, const RpcMm& mm, uint32_t in_flight,
                       Fill fill, Sink sink)
    : fill_(std::move(fill)), sink_(std::move(sink)), stream_(std::make_unique<Stream>()) {
  stream_->channel = NewChannel(target);
  stream_->in_flight = in_flight;
  if (side == Side::kEmpty) {
    stream_->calls = EmptyService::Stub(stream_->channel).Attach(&stream_->context);
  } else {
    stream_->calls = v1::MemoryService::Stub(stream_->channel).Attach(&stream_->context);
  }
  stream_->request.mutable_open()->set_mm(mm.name());
  MM_CHECK(stream_->calls->Write(stream_->request));
  MM_CHECK(stream_->calls->Read(&stream_->response));
}

StreamLoad::~StreamLoad() {
  stream_->calls->WritesDone();
  while (stream_->calls->Read(&stream_->response)) {
  }
  CheckOk(stream_->calls->Finish());
}

Load::Body StreamLoad::Client(int /*index*/) {
  return [this] { return Exchange(); };
}

uint64_t StreamLoad::Exchange() {
  Stream& stream = *stream_;
  while (stream.counted.size() < stream.in_flight) {
    v1::OperationBatch& batch = *stream.request.mutable_batch();
    stream.counted.push_back(fill_(batch));
    MM_CHECK(stream.calls->Write(stream.request));
  }
  MM_CHECK(stream.calls->Read(&stream.response));
  MM_CHECK(columns::ResultsReader(stream.response.results()).all_ok());
  if (sink_) sink_(stream.response.results());
  const uint64_t count = stream.counted.front();
  stream.counted.pop_front();
  return count;
}

StreamLoad::Fill FirstTouches(uint64_t begin, uint64_t bytes, uint32_t batch) {
  return [=, next = begin](v1::OperationBatch& out) mutable -> uint64_t {
    columns::BatchBuilder builder(out);
    if (next + batch * kPage > begin + bytes) {
      builder.Madvise({begin}, bytes, kDontNeed);
      next = begin;
      return 0;
    }
    for (uint32_t i = 0; i < batch; ++i, next += kPage) {
      builder.Fault(v1::ACCESS_KIND_WRITE, {next});
    }
    return batch;
  };
}

StreamLoad::Fill Faults(uint64_t begin, uint64_t bytes, uint32_t batch) {
  return [=, next = begin](v1::OperationBatch& out) mutable -> uint64_t {
    columns::BatchBuilder builder(out);
    for (uint32_t i = 0; i < batch; ++i, next += kPage) {
      if (next == begin + bytes) next = begin;
      builder.Fault(v1::ACCESS_KIND_WRITE, {next});
    }
    return batch;
  };
}

StreamLoad::Fill MapUnmap(uint64_t address, uint64_t bytes, uint32_t batch) {
  return [=](v1::OperationBatch& out) -> uint64_t {
    columns::BatchBuilder builder(out);
    for (uint32_t i = 0; i < batch; i += 2) {
      builder.Mmap({address}, bytes, {.prot = kReadWrite, .flags = kAnonymous | kFixed});
      builder.Munmap({address}, bytes);
    }
    return batch;
  };
}

}  // namespace faultline::bench

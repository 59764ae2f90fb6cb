// SPDX-License-Identifier: Apache-2.0
//
// The clients of rpc_bench: threads that make calls or hold streams, and how many operations came
// to an end in a window of time, at what price in CPU.
//
// Streams are kept from window to window, as a client would; a window begins when all are at work.
// Where batches of faults are first touches, a stream gives its pages back after some of them with
// one MADV_DONTNEED, which is not counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/channel.h>

#include "faultline/v1/attach.pb.h"
#include "faultline/v1/common.pb.h"
#include "faultline/v1/memory.grpc.pb.h"
#include "rpc_empty.grpc.pb.h"
#include "tests/bench/rpc_server.h"

namespace faultline::bench {

/// Which of two services a client talks to.
enum class Side : uint8_t { kFaultline, kEmpty };

/// What a window came to.
struct RpcWindow {
  double seconds = 0;
  uint64_t operations = 0;
  int64_t client_cpu_ns = 0;
  int64_t server_cpu_ns = 0;
  double foreign_cores = 0;

  [[nodiscard]] double rate() const { return static_cast<double>(operations) / seconds; }
  [[nodiscard]] double client_ns() const { return PerOperation(client_cpu_ns); }
  [[nodiscard]] double server_ns() const { return PerOperation(server_cpu_ns); }

 private:
  [[nodiscard]] double PerOperation(int64_t ns) const {
    return static_cast<double>(ns) / static_cast<double>(operations);
  }
};

/// Clients that do the same. Each body runs on a thread of its own, and is called again and again:
/// one call is a few operations, whose number it returns.
class Load {
 public:
  using Body = std::function<uint64_t()>;

  virtual ~Load() = default;
  /// How many threads.
  [[nodiscard]] virtual int clients() const = 0;
  /// The body of client `index`.
  [[nodiscard]] virtual Body Client(int index) = 0;
};

/// Runs all loads at once and counts for each; the CPU is that of all together.
[[nodiscard]] std::vector<RpcWindow> Measure(const std::vector<Load*>& loads,
                                             const ServerProcess& server, double seconds);

/// A new channel with a connection of its own.
[[nodiscard]] std::shared_ptr<grpc::Channel> NewChannel(const std::string& target);

/// An mm of its own with one region, which exits at its end: after the streams that use it.
class RpcMm {
 public:
  RpcMm(const std::string& target, v1::Scheme scheme, uint64_t bytes);
  ~RpcMm();
  RpcMm(const RpcMm&) = delete;
  RpcMm& operator=(const RpcMm&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] uint64_t region() const { return region_; }

 private:
  v1::MemoryService::Stub stub_;
  std::string name_;
  uint64_t region_ = 0;
};

/// Unary faults at one page, one call after the other.
class UnaryLoad final : public Load {
 public:
  /// `mm` outlives it.
  UnaryLoad(const std::string& target, Side side, const RpcMm& mm, int clients);
  [[nodiscard]] int clients() const override { return clients_; }
  [[nodiscard]] Body Client(int index) override;

 private:
  const Side side_;
  const RpcMm& mm_;
  const int clients_;
  std::shared_ptr<grpc::Channel> channel_;
};

struct StreamShape {
  uint32_t batch = 1;
  uint32_t in_flight = 1;  ///< batches sent before the first is answered
};

/// One stream of batches; what they do is up to `fill`, which is called for each batch and says how
/// many of its operations count.
class StreamLoad final : public Load {
 public:
  using Fill = std::function<uint64_t(v1::OperationBatch& batch)>;

  /// Sees each result.
  using Sink = std::function<void(const v1::OperationResults& results)>;

  StreamLoad(const std::string& target, Side side, const RpcMm& mm, uint32_t in_flight, Fill fill,
             Sink sink = {});
  ~StreamLoad() override;
  [[nodiscard]] int clients() const override { return 1; }
  [[nodiscard]] Body Client(int index) override;

 private:
  struct Stream;
  uint64_t Exchange();

  const Fill fill_;
  const Sink sink_;
  std::unique_ptr<Stream> stream_;
};

/// Batches of write faults in ascending order over [`begin`, `begin` + `bytes`), and once around a
/// batch that gives the pages back.
[[nodiscard]] StreamLoad::Fill FirstTouches(uint64_t begin, uint64_t bytes, uint32_t batch);
/// The same without giving back: but for the first time around, every page is there, and what is
/// left of a fault is finding that out under the scheme's locks.
[[nodiscard]] StreamLoad::Fill Faults(uint64_t begin, uint64_t bytes, uint32_t batch);
/// Batches that map and unmap at one address: a mapper that touches nothing.
[[nodiscard]] StreamLoad::Fill MapUnmap(uint64_t address, uint64_t bytes, uint32_t batch);

}  // namespace faultline::bench

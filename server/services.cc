// SPDX-License-Identifier: Apache-2.0
//
// What faultlined serves: the services of faultline.v1 over one registry of machines.
//
// Order of members is order of life: workers end after what posts to them, machines before them.
#include "server/services.h"

#include "faultline/v1/memory.grpc.pb.h"
#include "server/attach_streams.h"
#include "server/epoch.h"
#include "server/memory_service.h"
#include "server/registry.h"
#include "server/unary.h"
#include "server/worker_pool.h"

namespace faultline::server {
namespace {

class AllServices final : public Services {
 public:
  explicit AllServices(const Frame& frame)
      : limits_(frame.config.limits),
        workers_({.max_threads = limits_.unary_workers, .max_queue = limits_.unary_queue}),
        registry_(limits_, epoch_, workers_),
        calls_(registry_, frame.config.require_routing_header ? Calls::Routing::kHeaderRequired
                                                              : Calls::Routing::kAnyCall),
        streams_(limits_),
        memory_(calls_, streams_) {}
  ~AllServices() override { registry_.Close(); }

  [[nodiscard]] std::vector<NamedService> All() override {
    return {{v1::MemoryService::service_full_name(), &memory_}};
  }

  void BeginDrain() override {
    calls_.Drain();
    streams_.Drain();
  }

  [[nodiscard]] Registry& registry() override { return registry_; }

 private:
  const Limits limits_;
  const Epoch epoch_ = Epoch::Random();
  WorkerPool workers_;
  Registry registry_;
  Calls calls_;
  AttachStreams streams_;
  MemoryService memory_;
};

}  // namespace

std::unique_ptr<Services> MakeServices(const Frame& frame) {
  return std::make_unique<AllServices>(frame);
}

}  // namespace faultline::server

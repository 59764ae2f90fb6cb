// SPDX-License-Identifier: Apache-2.0
//
// What faultlined serves: the services of faultline.v1 over one registry of machines.
//
// Order of members is order of life: workers end after what posts to them, machines before them.
#include "server/services.h"

#include "faultline/v1/lab.grpc.pb.h"
#include "faultline/v1/machine.grpc.pb.h"
#include "faultline/v1/memory.grpc.pb.h"
#include "faultline/v1/observe.grpc.pb.h"
#include "server/attach_streams.h"
#include "server/epoch.h"
#include "server/lab_service.h"
#include "server/lab_stream.h"
#include "server/machine_metrics.h"
#include "server/machine_service.h"
#include "server/memory_service.h"
#include "server/observe_service.h"
#include "server/registry.h"
#include "server/unary.h"
#include "server/watch.h"
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
        machine_(calls_),
        memory_(calls_, streams_),
        lab_runs_(limits_),
        lab_(calls_, lab_runs_),
        observe_(calls_, watches_),
        metrics_(MakeMachineMetrics(registry_)) {
    frame.metrics.Add(metrics_);
  }
  ~AllServices() override { registry_.Close(); }

  [[nodiscard]] std::vector<NamedService> All() override {
    return {{v1::MachineService::service_full_name(), &machine_},
            {v1::MemoryService::service_full_name(), &memory_},
            {v1::ObserveService::service_full_name(), &observe_},
            {v1::LabService::service_full_name(), &lab_}};
  }

  void BeginDrain() override {
    calls_.Drain();
    streams_.Drain();
    lab_runs_.Drain();
    watches_.Drain();
  }

  [[nodiscard]] Registry& registry() override { return registry_; }

 private:
  const Limits limits_;
  const Epoch epoch_ = Epoch::Random();
  WorkerPool workers_;
  Registry registry_;
  Calls calls_;
  AttachStreams streams_;
  WatchStreams watches_;
  MachineService machine_;
  MemoryService memory_;
  LabRuns lab_runs_;
  LabService lab_;
  ObserveService observe_;
  const std::shared_ptr<prometheus::Collectable> metrics_;
};

}  // namespace

std::unique_ptr<Services> MakeServices(const Frame& frame) {
  return std::make_unique<AllServices>(frame);
}

}  // namespace faultline::server

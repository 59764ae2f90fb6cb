// SPDX-License-Identifier: Apache-2.0
//
// Workloads; see lab_service.h. A run is its turns: schemes forth and then back, and forth again,
// so that what changes slowly on the host is the same for all.
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "proto/workload/plan.h"
#include "proto/workload/presets.h"
#include "server/lab_request.h"
#include "server/lab_service.h"
#include "server/lab_stream.h"
#include "server/lab_turn.h"

namespace faultline::server {
namespace {

using RunStream = LabStream<v1::RunWorkloadResponse>;

/// A run that was admitted.
class WorkloadRun {
 public:
  WorkloadRun(Calls& calls, LabRuns& runs, WorkloadSettings settings)
      : calls_(calls),
        runs_(runs),
        settings_(std::move(settings)),
        plan_(settings_.workload, settings_.threads) {}

  /// Takes places for its threads; LIMIT_REACHED.
  [[nodiscard]] MaybeRefusal TakePlaces() {
    for (uint32_t i = 0; i < plan_.threads(); ++i) {
      OrRefusal<ThreadPlace> place = calls_.registry().AddThread();
      if (!place.ok()) return std::move(place.refusal());
      places_.push_back(*std::move(place));
    }
    return {};
  }

  /// All turns, and the end.
  [[nodiscard]] MaybeRefusal Run(RunStream& stream) {
    const auto schemes = static_cast<uint32_t>(settings_.schemes.size());
    for (uint32_t repeat = 0; repeat < settings_.repeats; ++repeat) {
      for (uint32_t i = 0; i < schemes && !stream.stop().stopped(); ++i) {
        const uint32_t scheme = repeat % 2 == 0 ? i : schemes - 1 - i;
        if (MaybeRefusal refusal = RunTurn(stream, {.scheme_index = scheme, .repeat = repeat})) {
          return refusal;
        }
      }
    }
    v1::RunWorkloadResponse response = Response();
    response.mutable_end()->set_results(schemes * settings_.repeats);
    stream.Send(std::move(response));
    return {};
  }

 private:
  MaybeRefusal RunTurn(RunStream& stream, LabTurn::Which which) {
    v1::RunWorkloadResponse response = Response();
    {
      LabTurn turn(settings_, plan_, runs_.executors(), which);
      if (MaybeRefusal refusal = turn.Prepare()) return refusal;
      const LabStop::Hook hook(stream.stop(), [&turn] { turn.Stop(); });
      const auto on_progress = [&](const v1::WorkloadProgress& progress) {
        v1::RunWorkloadResponse message = Response();
        *message.mutable_progress() = progress;
        stream.SendProgress(std::move(message));
      };
      if (MaybeRefusal refusal = turn.Run(on_progress, *response.mutable_result())) return refusal;
    }
    if (!stream.stop().stopped()) stream.Send(std::move(response));
    return {};
  }

  [[nodiscard]] v1::RunWorkloadResponse Response() {
    v1::RunWorkloadResponse response;
    response.set_instance_epoch(calls_.registry().epoch().value());
    return response;
  }

  Calls& calls_;
  LabRuns& runs_;
  const WorkloadSettings settings_;
  const workload::Plan plan_;
  std::vector<ThreadPlace> places_;
};

}  // namespace

LabService::Reactor* LabService::ListWorkloads(Context* context,
                                               const v1::ListWorkloadsRequest* request,
                                               v1::ListWorkloadsResponse* response) {
  return calls_.Inline(context, request, response, [&]() -> MaybeRefusal {
    for (const v1::Workload& preset : workload::Presets()) *response->add_workloads() = preset;
    return {};
  });
}

grpc::ServerWriteReactor<v1::RunWorkloadResponse>* LabService::RunWorkload(
    Context* context, const v1::RunWorkloadRequest* request) {
  auto* stream = new RunStream(calls_, runs_);
  MaybeRefusal refusal = calls_.Admit(*context, *request);
  std::unique_ptr<WorkloadRun> run;
  if (!refusal) {
    OrRefusal<WorkloadSettings> settings = CheckRunWorkload(calls_.registry(), *request);
    if (settings.ok()) {
      run = std::make_unique<WorkloadRun>(calls_, runs_, *std::move(settings));
      refusal = run->TakePlaces();
    } else {
      refusal = std::move(settings.refusal());
    }
  }
  stream->Start(std::move(refusal),
                [run = std::move(run)](RunStream& self) { return run->Run(self); });
  return stream;
}

}  // namespace faultline::server

// SPDX-License-Identifier: Apache-2.0
//
// The fields of RunWorkloadRequest one after the other; see lab_request.h.
//
// The workload itself is checked by proto/workload, which clients can ask as well.
#include "server/lab_request.h"

#include <string>
#include <utility>

#include "proto/workload/presets.h"
#include "proto/workload/validate.h"
#include "server/options.h"

namespace faultline::server {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMillisecond;
constexpr uint64_t kHour = 3600 * kSecond;
constexpr int kMaxSchemes = 64;
constexpr uint32_t kMaxRepeats = 1000;

Refusal OfProblem(const v1::ErrorDetail& problem) {
  return {.reason = problem.reason(),
          .field = problem.field(),
          .value = problem.value(),
          .allowed = problem.allowed()};
}

MaybeRefusal CheckTimes(const v1::RunWorkloadRequest& request, WorkloadSettings& settings) {
  const uint64_t duration = request.duration_ns() == 0 ? kSecond : request.duration_ns();
  if (duration < kMillisecond || duration > kHour) {
    return OutOfRange("duration_ns", duration, "1 ms to 1 h, or 0 for 1 s");
  }
  if (request.warmup_ns() > kHour) {
    return OutOfRange("warmup_ns", request.warmup_ns(), "at most 1 h");
  }
  const uint32_t repeats = request.repeats() == 0 ? 1 : request.repeats();
  if (repeats > kMaxRepeats) return OutOfRange("repeats", repeats, "1 to 1000, or 0 for 1");
  OrRefusal<uint64_t> progress = ProgressInterval(request.progress_interval_ns());
  if (!progress.ok()) return std::move(progress.refusal());
  settings.duration_ns = duration;
  settings.warmup_ns = request.warmup_ns();
  settings.repeats = repeats;
  settings.progress_interval_ns = *progress;
  return {};
}

MaybeRefusal CheckSchemes(const v1::RunWorkloadRequest& request, WorkloadSettings& settings) {
  if (request.schemes_size() > kMaxSchemes) {
    return OutOfRange("schemes", std::to_string(request.schemes_size()) + " elements",
                      "at most 64");
  }
  for (int i = 0; i < request.schemes_size(); ++i) {
    OrRefusal<FaultOptions> options =
        ToCore(request.schemes(i), "schemes[" + std::to_string(i) + "]");
    if (!options.ok()) return std::move(options.refusal());
    settings.schemes.push_back({.fault = *options});
  }
  if (settings.schemes.empty()) {
    settings.schemes.push_back({.fault = DefaultsOf(SchemeName::kMmapLock)});
  }
  return {};
}

MaybeRefusal CheckWorkload(const v1::RunWorkloadRequest& request, const Limits& limits,
                           WorkloadSettings& settings) {
  const workload::WorkloadLimits workload_limits{
      .max_threads = static_cast<uint32_t>(limits.max_threads), .threads = settings.threads};
  const char* path = "workload";
  switch (request.what_case()) {
    case v1::RunWorkloadRequest::kPreset: {
      path = "preset";
      const v1::Workload* const preset = workload::FindPreset(request.preset());
      if (preset == nullptr) return NotFound(path, request.preset(), "a preset of ListWorkloads");
      settings.workload = *preset;
      break;
    }
    case v1::RunWorkloadRequest::kWorkload:
      settings.workload = request.workload();
      break;
    case v1::RunWorkloadRequest::WHAT_NOT_SET:
      return MissingField("what", "preset or workload");
  }
  if (const auto problem = workload::WhyBad(settings.workload, workload_limits, path)) {
    return OfProblem(*problem);
  }
  return {};
}

}  // namespace

OrRefusal<uint64_t> ProgressInterval(uint64_t nanoseconds) {
  if (nanoseconds == 0) return kSecond;
  if (nanoseconds < 10 * kMillisecond || nanoseconds > kHour) {
    return OutOfRange("progress_interval_ns", nanoseconds, "10 ms to 1 h, or 0 for 1 s");
  }
  return nanoseconds;
}

OrRefusal<WorkloadSettings> CheckRunWorkload(Registry& registry,
                                             const v1::RunWorkloadRequest& request) {
  WorkloadSettings settings;
  OrRefusal<std::shared_ptr<MachineEntry>> machine =
      registry.FindMachine(request.machine(), "machine");
  if (!machine.ok()) return std::move(machine.refusal());
  settings.machine = *std::move(machine);
  settings.seed = request.seed();
  settings.with_step_latencies = request.with_step_latencies();
  settings.threads = request.threads() == 0 ? 1 : request.threads();
  const uint64_t max_threads = registry.limits().max_threads;
  if (settings.threads > max_threads) {
    return OutOfRange("threads", settings.threads,
                      "1 to " + std::to_string(max_threads) + " (Limits.max_threads), or 0 for 1");
  }
  if (MaybeRefusal refusal = CheckWorkload(request, registry.limits(), settings)) {
    return *std::move(refusal);
  }
  if (MaybeRefusal refusal = CheckSchemes(request, settings)) return *std::move(refusal);
  if (MaybeRefusal refusal = CheckTimes(request, settings)) return *std::move(refusal);
  return settings;
}

}  // namespace faultline::server

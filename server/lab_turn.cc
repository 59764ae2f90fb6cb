// SPDX-License-Identifier: Apache-2.0
//
// One turn, from its files to its figures; see lab_turn.h.
#include "server/lab_turn.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include <absl/synchronization/blocking_counter.h>
#include <google/protobuf/descriptor.h>

#include "core/sync/sync_clock.h"
#include "server/host_cpu.h"
#include "server/options.h"

namespace faultline::server {
namespace {

using workload::PlannedActor;

bool Loops(const PlannedActor& actor) { return actor.loop.begin != actor.loop.end; }
bool CountsRounds(const PlannedActor& actor) { return Loops(actor) && actor.rounds != 0; }

uint32_t CountingThreads(const workload::Plan& plan) {
  uint32_t threads = 0;
  for (const PlannedActor& actor : plan.actors()) {
    if (CountsRounds(actor)) threads += actor.threads;
  }
  return threads;
}

}  // namespace

LabTurn::LabTurn(const WorkloadSettings& settings, const workload::Plan& plan,
                 WorkerPool& executors, Which which)
    : settings_(settings), plan_(plan), executors_(executors), which_(which) {}

LabTurn::~LabTurn() {
  threads_.clear();
  absl::BlockingCounter left(static_cast<int>(mms_.size()));
  for (MmUse& use : mms_) {
    const auto gone = [&left] { left.DecrementCount(); };
    if (!use.entry().Exit(gone)) use.entry().WhenGone(gone);
    use.Drop();
  }
  left.Wait();
  for (const auto& copies : files_) {
    for (const MachineEntry::File& file : copies) {
      // Somebody may have deleted it already.
      (void)settings_.machine->DeleteFile(file.number, "machine");
    }
  }
}

// --- Making
// ---------------------------------------------------------------------------------------

MaybeRefusal LabTurn::Prepare() {
  if (MaybeRefusal refusal = MakeFiles()) return refusal;
  gate_ = std::make_unique<LabGate>(plan_.threads(), CountingThreads(plan_));
  return MakeThreads();
}

MaybeRefusal LabTurn::MakeFiles() {
  const v1::Workload& workload = settings_.workload;
  for (size_t i = 0; i < plan_.files().size(); ++i) {
    const workload::PlannedFile& planned = plan_.files()[i];
    const std::string path =
        "/" + workload.name() + "/" + workload.files(static_cast<int>(i)).name();
    auto& copies = files_.emplace_back();
    const uint32_t wanted = planned.per_thread ? plan_.threads() : 1;
    while (copies.size() < wanted) {
      auto file = settings_.machine->CreateFile(path, planned.size);
      if (!file.ok()) return std::move(file.refusal());
      copies.push_back(*std::move(file));
    }
  }
  return {};
}

OrRefusal<Mm*> LabTurn::MakeMm() {
  auto use = settings_.machine->CreateMm(settings_.schemes[which_.scheme_index],
                                         {.number = 0,
                                          .description = "workload " + settings_.workload.name(),
                                          .parent_number = 0,
                                          .life = MmLife::kUntilExit});
  if (!use.ok()) return std::move(use.refusal());
  mms_.push_back(*std::move(use));
  return &mms_.back().mm();
}

MaybeRefusal LabTurn::MakeThreads() {
  Mm* shared = nullptr;
  if (plan_.has_shared_mm()) {
    OrRefusal<Mm*> mm = MakeMm();
    if (!mm.ok()) return std::move(mm.refusal());
    shared = *mm;
  }
  bool shared_is_mapped = false;
  for (uint32_t actor = 0; actor < plan_.actors().size(); ++actor) {
    const PlannedActor& planned = plan_.actors()[actor];
    for (uint32_t thread = 0; thread < planned.threads; ++thread) {
      Mm* mm = shared;
      if (planned.own_mm) {
        OrRefusal<Mm*> own = MakeMm();
        if (!own.ok()) return std::move(own.refusal());
        mm = *own;
      }
      mappings_.push_back(FilesOf(static_cast<uint32_t>(threads_.size())));
      std::vector<uint64_t> numbers(mappings_.back().size());
      std::iota(numbers.begin(), numbers.end(), 0);
      const bool maps = planned.own_mm || !std::exchange(shared_is_mapped, true);
      threads_.push_back(
          std::make_unique<LabThread>(LabThread::Role{.plan = plan_,
                                                      .identity = {.seed = settings_.seed,
                                                                   .actor = actor,
                                                                   .thread = thread,
                                                                   .files = std::move(numbers)},
                                                      .files = mappings_.back(),
                                                      .mm = *mm,
                                                      .observed = shared,
                                                      .maps_for_mm = maps,
                                                      .times_steps = settings_.with_step_latencies},
                                      *gate_));
    }
  }
  return {};
}

std::vector<Mapping*> LabTurn::FilesOf(uint32_t thread) const {
  std::vector<Mapping*> mappings;
  mappings.reserve(files_.size());
  for (const auto& copies : files_) {
    mappings.push_back(&copies[copies.size() == 1 ? 0 : thread].ref.mapping());
  }
  return mappings;
}

// --- Running
// --------------------------------------------------------------------------------------

MaybeRefusal LabTurn::Run(const OnProgress& on_progress, v1::WorkloadResult& result) {
  if (MaybeRefusal refusal = StartThreads()) return refusal;
  on_progress_ = &on_progress;
  started_ns_ = SyncClockNs();
  next_progress_ns_ = started_ns_ + settings_.progress_interval_ns;
  bool whole = gate_->AwaitReady();
  if (whole && settings_.warmup_ns != 0) {
    started_ns_ = SyncClockNs();
    gate_->Enter(LabGate::Phase::kWarmingUp);
    whole = Track(started_ns_ + settings_.warmup_ns, LabGate::Until::kTime);
  } else {
    started_ns_ = SyncClockNs();
  }
  const Reading before = Read();
  gate_->Enter(LabGate::Phase::kMeasuring);
  whole = whole && Measure();
  const Reading after = Read();
  const bool exited =
      std::any_of(mms_.begin(), mms_.end(), [](const MmUse& use) { return use.entry().exiting(); });
  gate_->Enter(LabGate::Phase::kOver);
  gate_->AwaitAllLeft();
  on_progress_ = nullptr;
  if (exited && !stopped_.load(std::memory_order_acquire)) {
    return MmExited("machine", settings_.machine->id());
  }
  if (whole) Fill(before, after, result);
  return {};
}

MaybeRefusal LabTurn::StartThreads() {
  for (size_t i = 0; i < threads_.size(); ++i) {
    if (executors_.TryPost([self = threads_[i].get()] { self->Run(); })) continue;
    // They wait for each other, so without one of them there is nothing to run.
    gate_->Enter(LabGate::Phase::kOver);
    for (; i < threads_.size(); ++i) gate_->Left();
    gate_->AwaitAllLeft();
    return NoThreadForIt("Limits.max_threads", executors_.options().max_threads);
  }
  return {};
}

void LabTurn::Stop() {
  // Release pairs with the load in Run: the exits below are no surprise then.
  stopped_.store(true, std::memory_order_release);
  gate_->Enter(LabGate::Phase::kOver);
  for (const MmUse& use : mms_) (void)use.entry().Exit({});
}

bool LabTurn::Measure() {
  const auto& actors = plan_.actors();
  const uint64_t end = SyncClockNs() + settings_.duration_ns;
  if (std::none_of(actors.begin(), actors.end(), Loops)) return true;
  if (!std::all_of(
          actors.begin(), actors.end(),
          [](const PlannedActor& actor) { return !Loops(actor) || CountsRounds(actor); }) &&
      !Track(end, LabGate::Until::kTime)) {
    return false;
  }
  return gate_->rounds_done() || Track(UINT64_MAX, LabGate::Until::kTimeOrRounds);
}

bool LabTurn::Track(uint64_t until_ns, LabGate::Until until) {
  while (gate_->AwaitTime(std::min(until_ns, next_progress_ns_), until)) {
    const uint64_t now = SyncClockNs();
    if (now >= until_ns) return true;
    if (until == LabGate::Until::kTimeOrRounds && gate_->rounds_done()) return true;
    if (now < next_progress_ns_) continue;
    SendProgress();
    next_progress_ns_ += settings_.progress_interval_ns;
  }
  return false;
}

void LabTurn::SendProgress() {
  v1::WorkloadProgress progress;
  progress.set_scheme_index(which_.scheme_index);
  progress.set_repeat(which_.repeat);
  progress.set_warming_up(gate_->phase() == LabGate::Phase::kWarmingUp);
  progress.set_elapsed_ns(SyncClockNs() - started_ns_);
  uint64_t rounds = 0;
  uint64_t operations = 0;
  for (const auto& thread : threads_) {
    rounds += thread->figures().rounds.Read();
    operations += thread->figures().operations.Read();
  }
  progress.set_rounds(rounds);
  progress.set_operations(operations);
  (*on_progress_)(progress);
}

// --- Figures
// --------------------------------------------------------------------------------------

LabTurn::Reading LabTurn::Read() const {
  Reading reading;
  reading.foreign_cpu_ns = ForeignCpuNs();
  reading.locks = LockReading::Now();
  for (const MmUse& use : mms_) reading.faults += use.mm().fault_stats().Totals();
  for (const auto& thread : threads_) {
    reading.cpu_ns += thread->CpuNs();
    reading.operations.push_back(thread->figures().operations.Read());
    reading.failed.push_back(thread->figures().failed.Read());
  }
  reading.at_ns = SyncClockNs();
  return reading;
}

void LabTurn::Fill(const Reading& before, const Reading& after, v1::WorkloadResult& result) const {
  result.set_scheme_index(which_.scheme_index);
  result.set_repeat(which_.repeat);
  ToProto(settings_.schemes[which_.scheme_index].fault, *result.mutable_options());
  result.set_elapsed_ns(after.at_ns - before.at_ns);
  result.set_cpu_ns(after.cpu_ns - before.cpu_ns);
  result.set_foreign_cpu_ns(after.foreign_cpu_ns -
                            std::min(before.foreign_cpu_ns, after.foreign_cpu_ns));
  FaultStatsSnapshot faults = after.faults;
  faults -= before.faults;
  ToProto(faults, *result.mutable_faults());
  AddLocksBetween(before.locks, after.locks, result);
  size_t first_thread = 0;
  for (const PlannedActor& actor : plan_.actors()) {
    FillActor(before, after, first_thread, actor, *result.add_actors());
    first_thread += actor.threads;
  }
}

void LabTurn::FillActor(const Reading& before, const Reading& after, size_t first_thread,
                        const PlannedActor& actor, v1::ActorResult& out) const {
  DurationHistogram latency;
  DurationHistogram service;
  std::array<DurationHistogram, kStepKinds> steps{};
  uint64_t rounds = 0;
  uint64_t operations = 0;
  uint64_t failed = 0;
  uint64_t late = 0;
  for (size_t i = first_thread; i < first_thread + actor.threads; ++i) {
    const LabFigures& figures = threads_[i]->figures();
    out.add_rounds_by_thread(figures.measured_rounds.Read());
    rounds += figures.measured_rounds.Read();
    late += figures.late_rounds.Read();
    operations += after.operations[i] - before.operations[i];
    failed += after.failed[i] - before.failed[i];
    figures.round_latency.AddTo(latency);
    figures.round_service.AddTo(service);
    for (size_t kind = 0; kind < kStepKinds; ++kind) figures.steps[kind].AddTo(steps[kind]);
  }
  out.set_actor(actor.name);
  out.set_threads(actor.threads);
  out.set_rounds(rounds);
  out.set_operations(operations);
  out.set_failed(failed);
  out.set_late_rounds(late);
  ToProto(latency, *out.mutable_round_latency());
  ToProto(service, *out.mutable_round_service());
  for (size_t kind = 0; kind < kStepKinds; ++kind) {
    if (steps[kind].count == 0) continue;
    v1::StepLatency& step = *out.add_steps();
    step.set_step(v1::Step::descriptor()->FindFieldByNumber(static_cast<int>(kind))->name());
    ToProto(steps[kind], *step.mutable_latency());
  }
}

}  // namespace faultline::server

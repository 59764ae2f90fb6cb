// SPDX-License-Identifier: Apache-2.0
//
// One function for each kind of step: its message becomes a PlannedStep with numbers for names and
// values for defaults.
//
// Bodies of repeats and forks follow their step directly, so a plan is read from front to back with
// a stack of ranges.
#include "proto/workload/plan_steps.h"

#include <cstdint>
#include <string>
#include <vector>

namespace faultline::workload {
namespace {

using google::protobuf::RepeatedPtrField;
using v1::Step;

constexpr uint64_t kProtReadWrite = 3;
constexpr uint64_t kMapType = 0xf;
constexpr uint64_t kMapPrivate = 2;
constexpr uint64_t kMapFixed = 0x10;
constexpr uint64_t kMapAnonymous = 0x20;
constexpr uint64_t kRemapMayMove = 1;
constexpr uint64_t kRemapFixed = 2;
constexpr uint64_t kLockOnFault = 1;

uint64_t ProtOf(uint32_t prot, bool inaccessible) {
  if (inaccessible) return 0;
  return prot == 0 ? kProtReadWrite : prot;
}

uint64_t FlagsOf(uint64_t flags, uint32_t file) {
  if ((flags & kMapType) == 0) flags |= kMapPrivate;
  if (file == kNobody) flags |= kMapAnonymous;
  return flags;
}

v1::OperationKind TouchKind(v1::AccessKind access) {
  if (access == v1::ACCESS_KIND_WRITE) return v1::OPERATION_KIND_TOUCH_WRITE;
  if (access == v1::ACCESS_KIND_EXEC) return v1::OPERATION_KIND_TOUCH_EXEC;
  return v1::OPERATION_KIND_TOUCH_READ;
}

v1::OperationKind FaultKind(v1::AccessKind access) {
  if (access == v1::ACCESS_KIND_WRITE) return v1::OPERATION_KIND_FAULT_WRITE;
  if (access == v1::ACCESS_KIND_EXEC) return v1::OPERATION_KIND_FAULT_EXEC;
  return v1::OPERATION_KIND_FAULT_READ;
}

PlannedStep Observe(const v1::ObserveStep& observe) {
  PlannedStep step;
  if (observe.file() != v1::OBSERVED_FILE_UNSPECIFIED) step.observed = observe.file();
  if (observe.mode() != v1::READ_MODE_UNSPECIFIED) step.mode = observe.mode();
  return step;
}

PlannedStep Brk(const v1::BrkStep& brk) {
  PlannedStep step;
  step.kind = v1::OPERATION_KIND_BRK;
  step.numbers[0] = static_cast<uint64_t>(brk.by());
  return step;
}

PlannedStep Pause(const v1::PauseStep& pause) {
  PlannedStep step;
  step.kind = v1::OPERATION_KIND_PAUSE;
  step.count = pause.duration_ns();
  step.random = pause.random();
  return step;
}

template <class Named>
std::map<std::string, uint32_t> NumbersOf(const RepeatedPtrField<Named>& named) {
  std::map<std::string, uint32_t> numbers;
  for (const Named& each : named) {
    numbers.emplace(each.name(), static_cast<uint32_t>(numbers.size()));
  }
  return numbers;
}

}  // namespace

StepPlanner::StepPlanner(const v1::Workload& workload, std::vector<PlannedStep>& steps,
                         std::vector<PlannedSpan>& targets)
    : regions_(NumbersOf(workload.regions())),
      files_(NumbersOf(workload.files())),
      steps_(steps),
      targets_(targets) {}

void StepPlanner::AddRegion(const v1::Region& region) {
  if (region.unmapped()) return;
  PlannedStep map;
  map.step = Step::kMap;
  map.kind = v1::OPERATION_KIND_MMAP;
  map.span.region = regions_.at(region.name());
  map.file = FileOf(region.file());
  map.numbers = {ProtOf(region.prot(), region.inaccessible()),
                 FlagsOf(region.flags(), map.file) | kMapFixed};
  steps_.push_back(map);
  if (!region.populated()) return;
  PlannedStep touch;
  touch.step = Step::kTouch;
  touch.kind = v1::OPERATION_KIND_TOUCH_WRITE;
  touch.span = map.span;
  steps_.push_back(touch);
}

StepRange StepPlanner::AddSteps(const RepeatedPtrField<Step>& steps, uint32_t& cursors) {
  const auto begin = static_cast<uint32_t>(steps_.size());
  for (const Step& step : steps) AddStep(step, cursors);
  return {.begin = begin, .end = static_cast<uint32_t>(steps_.size())};
}

void StepPlanner::AddStep(const Step& step, uint32_t& cursors) {
  PlannedStep planned;
  switch (step.step_case()) {
    case Step::kTouch:
      planned = Touch(step.touch(), cursors);
      break;
    case Step::kMap:
      planned = Map(step.map());
      break;
    case Step::kUnmap:
      planned = OnSpan(v1::OPERATION_KIND_MUNMAP, step.unmap().span());
      break;
    case Step::kProtect:
      planned = OnSpan(v1::OPERATION_KIND_MPROTECT, step.protect().span());
      planned.numbers[0] = step.protect().prot();
      break;
    case Step::kAdvise:
      planned = OnSpan(v1::OPERATION_KIND_MADVISE, step.advise().span());
      // As the kernel's int, which a register holds sign-extended.
      planned.numbers[0] = static_cast<uint64_t>(int64_t{step.advise().advice()});
      break;
    case Step::kRemap:
      planned = Remap(step.remap());
      break;
    case Step::kBrk:
      planned = Brk(step.brk());
      break;
    case Step::kLock:
      planned = OnSpan(step.lock().unlock() ? v1::OPERATION_KIND_MUNLOCK : v1::OPERATION_KIND_MLOCK,
                       step.lock().span());
      planned.numbers[0] = step.lock().on_fault() ? kLockOnFault : 0;
      break;
    case Step::kFork:
      planned.step = Step::kFork;
      planned.count = 1;
      return AddBody(planned, step.fork().child(), cursors);
    case Step::kObserve:
      planned = Observe(step.observe());
      break;
    case Step::kPause:
      planned = Pause(step.pause());
      break;
    case Step::kRepeat:
      planned.step = Step::kRepeat;
      planned.count = step.repeat().times();
      return AddBody(planned, step.repeat().steps(), cursors);
    case Step::STEP_NOT_SET:
      return;  // WhyBad refuses it.
  }
  planned.step = step.step_case();
  steps_.push_back(planned);
}

void StepPlanner::AddBody(PlannedStep planned, const RepeatedPtrField<Step>& body,
                          uint32_t& cursors) {
  const std::size_t index = steps_.size();
  steps_.push_back(planned);
  steps_[index].end = AddSteps(body, cursors).end;
}

PlannedStep StepPlanner::Touch(const v1::TouchStep& touch, uint32_t& cursors) const {
  PlannedStep step = OnSpan(
      touch.fault_always() ? FaultKind(touch.access()) : TouchKind(touch.access()), touch.span());
  step.count = touch.pages();
  if (touch.stride_pages() != 0) step.stride = touch.stride_pages();
  if (touch.order() != v1::PAGE_ORDER_UNSPECIFIED) step.order = touch.order();
  step.resume = touch.resume();
  if (step.resume) step.cursor = cursors++;
  return step;
}

PlannedStep StepPlanner::Map(const v1::MapStep& map) const {
  PlannedStep step = OnSpan(v1::OPERATION_KIND_MMAP, map.span());
  step.file = FileOf(map.file());
  step.numbers = {ProtOf(map.prot(), map.inaccessible()), FlagsOf(map.flags(), step.file)};
  if (step.span.region != kNobody) {
    step.numbers[1] |= kMapFixed;
  } else if (map.touch() != v1::ACCESS_KIND_UNSPECIFIED) {
    step.count = static_cast<uint64_t>(TouchKind(map.touch()));
  }
  return step;
}

PlannedStep StepPlanner::Remap(const v1::RemapStep& remap) {
  PlannedStep step = OnSpan(v1::OPERATION_KIND_MREMAP, remap.span());
  step.count = remap.new_length();
  if (remap.has_target()) {
    targets_.push_back(SpanOf(remap.target()));
    step.target = static_cast<uint32_t>(targets_.size());
    step.numbers[0] = kRemapMayMove | kRemapFixed;
  }
  return step;
}

PlannedStep StepPlanner::OnSpan(v1::OperationKind kind, const v1::Span& span) const {
  PlannedStep step;
  step.kind = kind;
  step.span = SpanOf(span);
  return step;
}

PlannedSpan StepPlanner::SpanOf(const v1::Span& span) const {
  PlannedSpan planned;
  planned.length = span.length();
  if (span.region().empty()) return planned;
  planned.region = regions_.at(span.region());
  planned.own_part = span.own_part();
  planned.offset = span.offset();
  return planned;
}

uint32_t StepPlanner::FileOf(const std::string& name) const {
  return name.empty() ? kNobody : files_.at(name);
}

}  // namespace faultline::workload

// SPDX-License-Identifier: Apache-2.0
//
// The rules of steps, one function for each kind that has some besides its span.
//
// A span in an own part is checked against the smallest part of all threads. Nesting is limited, so
// that the recursion is, too.
#include "proto/workload/validate_steps.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "proto/workload/plan.h"

namespace faultline::workload {
namespace {

using columns::MaybeProblem;
using google::protobuf::RepeatedPtrField;
using v1::Step;

constexpr int kMaxSteps = 10'000;
constexpr int kMaxDepth = 4;
constexpr uint64_t kMaxPause = 1'000'000'000'000;
constexpr uint64_t kMaxRepeats = 1'000'000'000;

}  // namespace

bool IsFile(const v1::Workload& workload, const std::string& name, FilesOf which) {
  if (name.empty()) return true;
  return std::any_of(
      workload.files().begin(), workload.files().end(), [&](const v1::WorkloadFile& file) {
        return file.name() == name && (which == FilesOf::kThread || !file.per_thread());
      });
}

StepChecker::StepChecker(const v1::Workload& workload, uint32_t threads, SharedMm shared_mm)
    : workload_(workload), threads_(threads), shared_mm_(shared_mm) {
  for (const v1::Region& region : workload.regions()) {
    region_lengths_.emplace(region.name(), region.length());
  }
}

MaybeProblem StepChecker::Check(const Path& path, std::string_view field,
                                const RepeatedPtrField<Step>& steps) {
  steps_ += steps.size();
  if (steps_ > kMaxSteps) {
    return (path / field)
        .OutOfRange(std::to_string(steps.size()) + " elements",
                    "at most 10000 steps in setup and loop, nested ones included");
  }
  for (int i = 0; i < steps.size(); ++i) {
    if (auto problem = CheckStep(path.At(field, i), steps[i])) return problem;
  }
  return std::nullopt;
}

MaybeProblem StepChecker::CheckStep(const Path& path, const Step& step) {
  switch (step.step_case()) {
    case Step::kTouch:
      return CheckTouch(path / "touch", step.touch());
    case Step::kMap:
      return CheckMap(path / "map", step.map());
    case Step::kUnmap: {
      if (step.unmap().span().region().empty()) return std::nullopt;
      const Path unmap = path / "unmap";
      return CheckSpan(unmap / "span", step.unmap().span());
    }
    case Step::kProtect: {
      const Path protect = path / "protect";
      return CheckSpan(protect / "span", step.protect().span());
    }
    case Step::kAdvise: {
      const Path advise = path / "advise";
      return CheckSpan(advise / "span", step.advise().span());
    }
    case Step::kRemap:
      return CheckRemap(path / "remap", step.remap());
    case Step::kBrk:
      return std::nullopt;
    case Step::kLock: {
      const Path lock = path / "lock";
      return CheckSpan(lock / "span", step.lock().span());
    }
    case Step::kFork:
      return CheckFork(path / "fork", step.fork());
    case Step::kObserve:
      return CheckObserve(path / "observe", step.observe());
    case Step::kPause: {
      if (step.pause().duration_ns() <= kMaxPause) return std::nullopt;
      const Path pause = path / "pause";
      return (pause / "duration_ns").OutOfRange(step.pause().duration_ns(), "at most 10^12");
    }
    case Step::kRepeat:
      return CheckRepeat(path / "repeat", step.repeat());
    case Step::STEP_NOT_SET:
      break;
  }
  return (path / "step").Missing("one of the steps");
}

MaybeProblem StepChecker::CheckTouch(const Path& path, const v1::TouchStep& touch) const {
  if (auto problem = CheckSpan(path / "span", touch.span())) return problem;
  if (!v1::AccessKind_IsValid(touch.access())) {
    return (path / "access").UnknownEnumValue(touch.access(), "AccessKind");
  }
  if (!v1::PageOrder_IsValid(touch.order())) {
    return (path / "order").UnknownEnumValue(touch.order(), "PageOrder");
  }
  const bool random =
      touch.order() == v1::PAGE_ORDER_RANDOM || touch.order() == v1::PAGE_ORDER_SHUFFLED;
  if (touch.resume() && random) {
    return (path / "resume").OutOfRange("true", "false with a random order");
  }
  return std::nullopt;
}

MaybeProblem StepChecker::CheckMap(const Path& path, const v1::MapStep& map) const {
  if (map.span().region().empty()) {
    if (!IsLength(map.span().length())) {
      const Path span = path / "span";
      return (span / "length").OutOfRange(map.span().length(), kLengthAllowed);
    }
  } else if (auto problem = CheckSpan(path / "span", map.span())) {
    return problem;
  }
  if (!IsFile(workload_, map.file(), FilesOf::kThread)) {
    return (path / "file").OutOfRange(map.file(), "a file of the workload");
  }
  if (!v1::AccessKind_IsValid(map.touch())) {
    return (path / "touch").UnknownEnumValue(map.touch(), "AccessKind");
  }
  return std::nullopt;
}

MaybeProblem StepChecker::CheckRemap(const Path& path, const v1::RemapStep& remap) const {
  if (auto problem = CheckSpan(path / "span", remap.span())) return problem;
  const uint64_t whole = WholeOf(remap.span());
  if (!remap.has_target()) {
    const uint64_t length = remap.new_length();
    if (length != 0 && length % kPageBytes == 0 && length <= whole - remap.span().offset()) {
      return std::nullopt;
    }
    return (path / "new_length")
        .OutOfRange(length,
                    "a multiple of 4096, 4096 to " + std::to_string(whole - remap.span().offset()));
  }
  if (auto problem = CheckSpan(path / "target", remap.target())) return problem;
  // Parts may differ by a page, so a span to the end of one has no length to compare with.
  const bool open_part = remap.span().own_part() && remap.span().length() == 0;
  const uint64_t length = LengthOf(remap.span());
  const uint64_t room = WholeOf(remap.target()) - remap.target().offset();
  const uint64_t needed = open_part ? length + kPageBytes : length;
  const bool same = remap.target().length() == 0 ? needed <= room
                                                 : remap.target().length() == length && !open_part;
  if (same) return std::nullopt;
  const Path target = path / "target";
  return (target / "length")
      .OutOfRange(remap.target().length(),
                  "as long as what is moved, " + std::to_string(length) + ", or 0 where that fits");
}

MaybeProblem StepChecker::CheckFork(const Path& path, const v1::ForkStep& fork) {
  return CheckNested(path, "child", fork.child());
}

MaybeProblem StepChecker::CheckRepeat(const Path& path, const v1::RepeatStep& repeat) {
  if (repeat.times() == 0 || repeat.times() > kMaxRepeats) {
    return (path / "times").OutOfRange(repeat.times(), "1 to 10^9");
  }
  if (repeat.steps().empty()) return (path / "steps").OutOfRange("0 elements", "at least one");
  return CheckNested(path, "steps", repeat.steps());
}

MaybeProblem StepChecker::CheckObserve(const Path& path, const v1::ObserveStep& observe) const {
  if (!v1::ObservedFile_IsValid(observe.file())) {
    return (path / "file").UnknownEnumValue(observe.file(), "ObservedFile");
  }
  if (!v1::ReadMode_IsValid(observe.mode())) {
    return (path / "mode").UnknownEnumValue(observe.mode(), "ReadMode");
  }
  if (shared_mm_ == SharedMm::kNone) {
    return path.OutOfRange("", "a workload with an actor whose threads share an mm");
  }
  return std::nullopt;
}

MaybeProblem StepChecker::CheckNested(const Path& path, std::string_view field,
                                      const RepeatedPtrField<Step>& steps) {
  if (depth_ == kMaxDepth) {
    return path.OutOfRange("5 deep", "forks and repeats nested at most 4 deep");
  }
  ++depth_;
  MaybeProblem problem = Check(path, field, steps);
  --depth_;
  return problem;
}

MaybeProblem StepChecker::CheckSpan(const Path& path, const v1::Span& span) const {
  if (!region_lengths_.contains(span.region())) {
    return (path / "region").OutOfRange(span.region(), "a region of the workload");
  }
  const uint64_t whole = WholeOf(span);
  if (whole == 0) {
    return (path / "own_part")
        .OutOfRange("true", "false, since the region has fewer pages than the actor threads");
  }
  if (span.offset() % kPageBytes != 0 || span.offset() >= whole) {
    return (path / "offset")
        .OutOfRange(span.offset(), "a multiple of 4096, below " + std::to_string(whole));
  }
  const uint64_t rest = whole - span.offset();
  if (span.length() % kPageBytes != 0 || span.length() > rest) {
    return (path / "length")
        .OutOfRange(span.length(), "a multiple of 4096, at most " + std::to_string(rest));
  }
  return std::nullopt;
}

uint64_t StepChecker::WholeOf(const v1::Span& span) const {
  const uint64_t length = region_lengths_.at(span.region());
  if (!span.own_part()) return length;
  return OwnPart(length / kPageBytes, threads_ - 1, threads_).pages * kPageBytes;
}

uint64_t StepChecker::LengthOf(const v1::Span& span) const {
  return span.length() == 0 ? WholeOf(span) - span.offset() : span.length();
}

}  // namespace faultline::workload

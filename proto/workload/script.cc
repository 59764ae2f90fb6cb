// SPDX-License-Identifier: Apache-2.0
//
// The expansion: a stack of ranges of steps, and of the step under way the touches that are left.
//
// A repeat is a range that is begun again, a fork's child a range that ends with an operation of
// its own. A child has its own generator, split off at the fork, so that what its parent draws
// afterwards does not depend on whether there was a child at all.
//
// Every step gives an operation each time it comes up, if only kNothing: whoever carries a workload
// out gets control back however large the numbers in it are.
#include "proto/workload/script.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace faultline::workload {
namespace {

using v1::Step;

/// What Random is made for; Pacer has the other number.
constexpr uint32_t kForSteps = 0;

bool UsesBreak(const Plan& plan, const PlannedActor& actor) {
  const auto is_brk = [](const PlannedStep& step) { return step.step == Step::kBrk; };
  const auto any = [&](StepRange range) {
    return std::any_of(plan.steps().begin() + range.begin, plan.steps().begin() + range.end,
                       is_brk);
  };
  return any(actor.setup) || any(actor.loop);
}

}  // namespace

Script::Script(const Plan& plan, ScriptIdentity identity)
    : plan_(plan),
      actor_(plan.actors()[identity.actor]),
      thread_(identity.thread),
      files_(std::move(identity.files)),
      addresses_(plan.RegionAddresses(identity.actor, identity.thread)),
      random_(identity.seed, identity.actor, identity.thread, kForSteps),
      cursors_(actor_.cursors),
      uses_break_(UsesBreak(plan, actor_)) {}

void Script::Begin(Part part) {
  StepRange range;
  switch (part) {
    case Part::kMapForMm:
      range = plan_.map_for_mm();
      break;
    case Part::kMapForThread:
      range = plan_.map_for_thread();
      break;
    case Part::kSetup:
      range = actor_.setup;
      break;
    case Part::kLoop:
      range = actor_.loop;
      break;
  }
  while (depth_ > 1) SkipChild();  // Gives the generator back, if a child was under way.
  touches_.left = 0;
  ask_break_ = part == Part::kSetup && uses_break_;
  frames_[0] = {.begin = range.begin, .next = range.begin, .end = range.end, .times_left = 1};
  depth_ = 1;
}

void Script::SkipChild() {
  touches_.left = 0;
  while (depth_ > 1) {
    const Frame& frame = frames_[--depth_];
    if (!frame.child) continue;
    random_ = frame.parent_random;
    mapped_ = frame.parent_mapped;
    return;
  }
}

bool Script::NextStep(Operation& op) {
  if (ask_break_) {
    ask_break_ = false;
    op = {.action = Action::kCall,
          .result = Slot::kBreak,
          .step = Step::kBrk,
          .kind = v1::OPERATION_KIND_BRK};
    return true;
  }
  while (depth_ > 0) {
    Frame& frame = frames_[depth_ - 1];
    if (frame.next == frame.end) {
      if (EndFrame(op)) return true;
      continue;
    }
    const PlannedStep& step = plan_.steps()[frame.next];
    if (step.step == Step::kRepeat) {
      frame.next = step.end;
      Enter(step);
      continue;
    }
    frame.next = step.step == Step::kFork ? step.end : frame.next + 1;
    StartStep(step, op);
    return true;
  }
  return false;
}

/// A range is through: begins it again, or leaves it. True if that is an operation.
bool Script::EndFrame(Operation& op) {
  Frame& frame = frames_[depth_ - 1];
  if (frame.times_left > 1) {
    --frame.times_left;
    frame.next = frame.begin;
    return false;
  }
  if (!frame.child) {
    --depth_;
    return false;
  }
  SkipChild();
  op.action = Action::kChildEnd;
  op.last_of_step = true;
  op.base = Slot::kNone;
  op.result = Slot::kNone;
  op.step = Step::kFork;
  return true;
}

/// Pushes the body of a repeat or a fork.
void Script::Enter(const PlannedStep& step) {
  const auto body = static_cast<uint32_t>(&step - plan_.steps().data()) + 1;
  Frame& frame = frames_[depth_++];
  frame = {.begin = body, .next = body, .end = step.end, .times_left = step.count};
  if (step.step != Step::kFork) return;
  frame.child = true;
  frame.parent_mapped = mapped_;
  Random of_child = random_.Split();
  frame.parent_random = std::exchange(random_, of_child);
}

void Script::StartStep(const PlannedStep& step, Operation& op) {
  op.action = Action::kCall;
  op.last_of_step = true;
  op.base = Slot::kNone;
  op.result = Slot::kNone;
  op.step = step.step;
  op.kind = step.kind;
  switch (step.step) {
    case Step::kTouch:
      StartTouch(step);
      return NextTouch(op);
    case Step::kMap:
      return Map(step, op);
    case Step::kUnmap:
      return Unmap(step, op);
    case Step::kRemap:
      return Remap(step, op);
    case Step::kBrk:
      return Brk(step, op);
    case Step::kPause:
      return Pause(step, op);
    case Step::kFork:
      op.action = Action::kFork;
      op.last_of_step = false;
      return Enter(step);
    case Step::kObserve:
      op.action = Action::kObserve;
      op.file = step.observed;
      op.mode = step.mode;
      return;
    case Step::kProtect:
    case Step::kAdvise:
    case Step::kLock: {
      const Range range = RangeOf(step.span);
      op.address = range.address;
      op.length = range.length;
      op.argument[0] = step.numbers[0];
      return;
    }
    case Step::kRepeat:
    case Step::STEP_NOT_SET:
      op.action = Action::kNothing;
      return;
  }
}

void Script::StartTouch(const PlannedStep& step) {
  const Range range = RangeOf(step.span);
  const uint64_t pages = range.length / kPageBytes;
  touches_.positions = (pages - 1) / step.stride + 1;
  touches_.left = step.count == 0 ? touches_.positions : step.count;
  touches_.position = 0;
  touches_.address = range.address;
  touches_.stride_bytes = step.stride * kPageBytes;
  touches_.order = step.order;
  touches_.kind = step.kind;
  touches_.step = Step::kTouch;
  touches_.base = Slot::kNone;
  touches_.lap = 0;
  if (step.order == v1::PAGE_ORDER_RANDOM) touches_.random = random_.Split();
  if (step.resume) {
    Resume(cursors_[step.cursor]);
  } else if (step.order == v1::PAGE_ORDER_SHUFFLED) {
    touches_.orders = random_.Next();
  }
  if (step.order == v1::PAGE_ORDER_SHUFFLED) ShuffleLap();
}

/// Goes on at the cursor, and moves it behind the step at once: what becomes of the step's
/// operations makes no difference to the next round.
void Script::Resume(Cursor& cursor) {
  if (!cursor.orders) cursor.orders = random_.Next();
  touches_.orders = *cursor.orders;
  touches_.position = cursor.position;
  touches_.lap = cursor.lap;
  const uint64_t end = cursor.position + touches_.left % touches_.positions;
  cursor.position = end % touches_.positions;
  cursor.lap += touches_.left / touches_.positions + end / touches_.positions;
}

void Script::NextTouch(Operation& op) {
  op.action = Action::kCall;
  op.kind = touches_.kind;
  op.base = touches_.base;
  op.result = Slot::kNone;
  op.step = touches_.step;
  op.address = touches_.address + NextPosition() * touches_.stride_bytes;
  op.length = 0;
  op.last_of_step = --touches_.left == 0;
}

uint64_t Script::NextPosition() {
  if (touches_.order == v1::PAGE_ORDER_RANDOM) return touches_.random.Below(touches_.positions);
  const bool shuffled = touches_.order == v1::PAGE_ORDER_SHUFFLED;
  const uint64_t position = touches_.position;
  const uint64_t page = shuffled ? touches_.permutation.At(position) : position;
  touches_.position = position + 1;
  if (touches_.position == touches_.positions) {
    touches_.position = 0;
    ++touches_.lap;
    if (shuffled) ShuffleLap();
  }
  return page;
}

void Script::ShuffleLap() {
  Random random(touches_.orders + touches_.lap);
  touches_.permutation = Permutation(touches_.positions, random);
}

void Script::Map(const PlannedStep& step, Operation& op) {
  op.argument = {step.numbers[0], step.numbers[1], UINT64_MAX, 0, 0};
  if (step.file != kNobody) op.argument[2] = files_[step.file];
  if (step.span.region != kNobody) {
    const Range range = RangeOf(step.span);
    op.address = range.address;
    op.length = range.length;
    if (step.file != kNobody) op.argument[4] = range.address - addresses_[step.span.region];
    return;
  }
  op.address = 0;
  op.length = step.span.length;
  op.result = Slot::kMapped;
  mapped_ = step.span.length;
  if (step.count == 0) return;
  op.last_of_step = false;
  touches_.positions = mapped_ / kPageBytes;
  touches_.left = touches_.positions;
  touches_.position = 0;
  touches_.address = 0;
  touches_.stride_bytes = kPageBytes;
  touches_.order = v1::PAGE_ORDER_ASCENDING;
  touches_.kind = static_cast<v1::OperationKind>(step.count);
  touches_.step = Step::kMap;
  touches_.base = Slot::kMapped;
}

void Script::Unmap(const PlannedStep& step, Operation& op) {
  if (step.span.region != kNobody) {
    const Range range = RangeOf(step.span);
    op.address = range.address;
    op.length = range.length;
    return;
  }
  if (mapped_ == 0) {
    op.action = Action::kNothing;
    return;
  }
  op.address = 0;
  op.length = std::exchange(mapped_, 0);
  op.base = Slot::kMapped;
}

void Script::Remap(const PlannedStep& step, Operation& op) const {
  const Range from = RangeOf(step.span);
  op.address = from.address;
  op.length = from.length;
  op.argument[1] = step.numbers[0];
  if (step.target == 0) {
    op.argument[0] = step.count;
    op.argument[2] = 0;
    return;
  }
  op.argument[0] = from.length;
  op.argument[2] = RangeOf(plan_.targets()[step.target - 1]).address;
}

void Script::Brk(const PlannedStep& step, Operation& op) const {
  op.base = Slot::kBreak;
  op.result = Slot::kBreak;
  op.address = step.numbers[0];
  op.length = 0;
}

void Script::Pause(const PlannedStep& step, Operation& op) {
  op.address = 0;
  op.length = step.random
                  ? static_cast<uint64_t>(random_.Exponential(static_cast<double>(step.count)))
                  : step.count;
}

Script::Range Script::RangeOf(const PlannedSpan& span) const {
  const uint64_t region = plan_.regions()[span.region].length;
  uint64_t start = 0;
  uint64_t whole = region;
  if (span.own_part) {
    const PagePart part = OwnPart(region / kPageBytes, thread_, actor_.threads);
    start = part.first * kPageBytes;
    whole = part.pages * kPageBytes;
  }
  return {.address = addresses_[span.region] + start + span.offset,
          .length = span.length == 0 ? whole - span.offset : span.length};
}

}  // namespace faultline::workload

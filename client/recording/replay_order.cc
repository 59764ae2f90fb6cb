// SPDX-License-Identifier: Apache-2.0
//
// One pass over the operations in the order of their effects, with the state of each image; what an
// operation must wait for is thinned out to what its thread does not know yet.
//
// What a thread knows: the steps of others that it waited for itself. That those waited, too, is
// not followed further: it would need a clock of all threads for each step, and a wait for what has
// long happened costs a few nanoseconds.
#include "client/recording/replay_order.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

#include "client/recording/image_order.h"
#include "client/recording/ranges.h"
#include "client/recording/recording.h"

namespace faultline::client {
namespace {

constexpr uint32_t kInvalidArgument = 22;
constexpr Range kEverything{0, UINT64_MAX};

class Planner {
 public:
  explicit Planner(const Recording& recording)
      : recording_(recording),
        threads_(recording.threads.size()),
        known_(recording.threads.size()),
        images_(recording.images.size()),
        born_(recording.threads.size()),
        vforked_(recording.threads.size(), kNoIndex),
        left_(recording.threads.size()) {
    for (std::size_t i = 0; i < images_.size(); ++i) {
      images_[i].SetBreak(recording.images[i].brk_start);
    }
  }

  std::vector<ReplayThread> Plan() {
    for (std::size_t i = 0; i < recording_.operations.size(); ++i) {
      Add(recording_.operations[i], static_cast<uint32_t>(i));
    }
    return std::move(threads_);
  }

 private:
  void Add(const Operation& op, uint32_t index) {
    ReplayThread& thread = threads_[op.thread];
    const ReplayWait by{.thread = op.thread,
                        .steps = static_cast<uint32_t>(thread.steps.size()) + 1};
    before_.clear();
    if (thread.steps.empty()) before_.push_back(born_[op.thread]);
    if (const uint32_t child = std::exchange(vforked_[op.thread], kNoIndex); child != kNoIndex) {
      before_.push_back(left_[child]);
    }
    Depend(op, by);
    const auto first_wait = static_cast<uint32_t>(thread.waits.size());
    ThinOut(op.thread);
    thread.waits.insert(thread.waits.end(), before_.begin(), before_.end());
    thread.steps.push_back({.operation = index,
                            .first_wait = first_wait,
                            .wait_count = static_cast<uint32_t>(before_.size())});
  }

  void Depend(const Operation& op, ReplayWait by) {
    ImageOrder& image = images_[op.image];
    switch (op.kind) {
      case OpKind::kUserFault:
      case OpKind::kKernelFault:
        image.Touch(op.args[0], by, before_);
        break;
      case OpKind::kCloneThread:
        born_[op.args[0]] = by;
        break;
      case OpKind::kFork:
        Fork(op, by);
        break;
      case OpKind::kExec:
      case OpKind::kExitProcess:
        End(op, by);
        break;
      case OpKind::kExitThread:
        left_[op.thread] = by;
        break;
      case OpKind::kBrk:
        image.Break(op.ended == Ended::kReturned && op.error == 0 ? op.result : image.brk(), by,
                    before_);
        break;
      case OpKind::kMlockall:
      case OpKind::kMunlockall:
        image.Change(kEverything, by, before_);
        break;
      default:
        Call(op, by);
        break;
    }
  }

  /// A system call on a range.
  void Call(const Operation& op, ReplayWait by) {
    ImageOrder& image = images_[op.image];
    const Range given = PagesOf(op.args[0], op.args[1]);
    const bool failed = op.error != 0;
    // Others may have done a part before they failed.
    const bool nothing_done = failed && (op.error == kInvalidArgument || op.kind == OpKind::kMmap);
    if (nothing_done) return image.Read(given, by, before_);
    if (op.kind != OpKind::kMmap || op.ended == Ended::kUnknown) image.Change(given, by, before_);
    image.Change(MadeBy(op), by, before_);
  }

  void Fork(const Operation& op, ReplayWait by) {
    const auto child = static_cast<uint32_t>(op.args[0]);
    born_[child] = by;
    if (op.args[1] == op.image) {
      vforked_[op.thread] = child;
      return;
    }
    images_[op.image].Change(kEverything, by, before_);
    images_[op.args[1]].SetBreak(images_[op.image].brk());
  }

  /// All other threads of the process end with it, so what they do comes before.
  void End(const Operation& op, ReplayWait by) {
    left_[op.thread] = by;
    const uint32_t process = recording_.threads[op.thread].process;
    for (std::size_t i = 0; i < threads_.size(); ++i) {
      if (recording_.threads[i].process != process) continue;
      before_.push_back({.thread = static_cast<uint32_t>(i),
                         .steps = static_cast<uint32_t>(threads_[i].steps.size())});
    }
  }

  /// Leaves the last one of each thread, in the order of threads, unless `thread` knows it.
  void ThinOut(uint32_t thread) {
    std::ranges::sort(before_, [](const ReplayWait& a, const ReplayWait& b) {
      return a.thread != b.thread ? a.thread < b.thread : a.steps > b.steps;
    });
    const auto [first, last] = std::ranges::unique(before_, {}, &ReplayWait::thread);
    before_.erase(first, last);
    absl::flat_hash_map<uint32_t, uint32_t>& known = known_[thread];
    std::erase_if(before_, [&](const ReplayWait& wait) {
      if (wait.thread == thread || wait.steps == 0) return true;
      uint32_t& steps = known[wait.thread];
      if (wait.steps <= steps) return true;
      steps = wait.steps;
      return false;
    });
  }

  const Recording& recording_;
  std::vector<ReplayThread> threads_;
  /// Of each thread: how many steps of others it knows to be done.
  std::vector<absl::flat_hash_map<uint32_t, uint32_t>> known_;
  std::vector<ImageOrder> images_;
  /// The clone or fork that made a thread; 0 steps if it was there.
  std::vector<ReplayWait> born_;
  /// The child for whose exec or exit a thread has to wait next.
  std::vector<uint32_t> vforked_;
  /// When a thread last left its image.
  std::vector<ReplayWait> left_;
  std::vector<ReplayWait> before_;
};

}  // namespace

std::vector<ReplayThread> OrderForReplay(const Recording& recording) {
  return Planner(recording).Plan();
}

}  // namespace faultline::client

// SPDX-License-Identifier: Apache-2.0
//
// Delta debugging (Zeller's ddmin) without the complement step's bookkeeping: a replay is cheap,
// and what a chunk's removal makes meaningless is left out by the duel itself.
#include "tests/oracle/shrink.h"

#include <sys/mman.h>

#include <algorithm>

#include "tests/oracle/arena.h"

namespace faultline::oracle {
namespace {

class Shrinker {
 public:
  Shrinker(Record failure, const Replayer& replay, std::chrono::seconds budget)
      : best_(std::move(failure)),
        replay_(replay),
        deadline_(std::chrono::steady_clock::now() + budget) {}

  Record Run() {
    while (!OutOfTime()) {
      const bool dropped = DropChunks();
      const bool merged = DropForks();
      const bool simpler = SimplifyArguments();
      if (!dropped && !merged && !simpler) break;
    }
    return std::move(best_);
  }

 private:
  [[nodiscard]] bool OutOfTime() const { return std::chrono::steady_clock::now() >= deadline_; }

  bool Try(const std::vector<Operation>& candidate) {
    Record record = replay_(candidate);
    if (record.difference.empty()) return false;
    best_ = std::move(record);
    return true;
  }

  bool DropChunks() {
    bool progress = false;
    for (size_t chunk = std::max<size_t>(best_.ops.size() / 2, 1); chunk > 0; chunk /= 2) {
      // From the end, where the cause is likely to be near.
      for (size_t end = best_.ops.size(); end > 0 && !OutOfTime();) {
        const size_t start = end > chunk ? end - chunk : 0;
        std::vector<Operation> candidate = best_.ops;
        candidate.erase(candidate.begin() + static_cast<ptrdiff_t>(start),
                        candidate.begin() + static_cast<ptrdiff_t>(end));
        if (Try(candidate)) progress = true;
        end = std::min(start, best_.ops.size());
      }
    }
    return progress;
  }

  /// Lets the parent do what the child did, where that leads to the difference as well.
  bool DropForks() {
    bool progress = false;
    for (size_t i = 0; i < best_.ops.size() && !OutOfTime(); ++i) {
      const Operation fork = best_.ops[i];
      if (fork.kind != OpKind::kFork) continue;
      std::vector<Operation> candidate = best_.ops;
      candidate.erase(candidate.begin() + static_cast<ptrdiff_t>(i));
      for (size_t later = i; later < candidate.size(); ++later) {
        int& process = candidate[later].process;
        if (process == static_cast<int>(fork.args[0])) process = fork.process;
      }
      if (Try(candidate)) progress = true;
    }
    return progress;
  }

  bool SimplifyArguments() {
    bool progress = false;
    for (size_t i = 0; i < best_.ops.size(); ++i) {
      for (const Operation& simpler : Simpler(best_.ops[i])) {
        if (OutOfTime() || i >= best_.ops.size()) return progress;
        std::vector<Operation> candidate = best_.ops;
        candidate[i] = simpler;
        if (!Try(candidate)) continue;
        progress = true;
        break;
      }
    }
    return progress;
  }

  /// Each is smaller in a measure that has an end, so that shrinking comes to one too.
  static std::vector<Operation> Simpler(const Operation& op) {
    std::vector<Operation> found;
    const auto add = [&](size_t arg, uint64_t value) {
      if (op.args[arg] == value) return;
      found.push_back(op);
      found.back().args[arg] = value;
    };
    const bool has_length = op.kind <= OpKind::kMunlock && op.kind != OpKind::kMremap;
    const uint64_t pages = op.args[1] / kPageSize;
    if (has_length && op.args[1] > kPageSize && op.args[1] <= kStackArea.end) {
      add(1, kPageSize);
      add(1, PageDown(op.args[1] / 2));
      add(1, (pages - 1) * kPageSize);
    }
    if (op.kind == OpKind::kMmap) AddSimplerMmap(op, add);
    if (op.kind == OpKind::kWrite && op.args[1] != 1) add(1, 1);
    return found;
  }

  template <typename Add>
  static void AddSimplerMmap(const Operation& op, const Add& add) {
    for (const uint64_t flag : {MAP_POPULATE, MAP_NORESERVE, MAP_LOCKED, MAP_STACK, MAP_NONBLOCK,
                                MAP_DENYWRITE, MAP_EXECUTABLE, MAP_GROWSDOWN}) {
      if ((op.args[3] & flag) != 0) add(3, op.args[3] & ~flag);
    }
    if ((op.args[3] & MAP_ANONYMOUS) != 0) add(5, 0);
  }

  Record best_;
  const Replayer& replay_;
  std::chrono::steady_clock::time_point deadline_;
};

}  // namespace

Record Shrink(Record failure, const Replayer& replay, std::chrono::seconds budget) {
  return Shrinker(std::move(failure), replay, budget).Run();
}

}  // namespace faultline::oracle

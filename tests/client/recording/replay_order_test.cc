// SPDX-License-Identifier: Apache-2.0
//
// Random programs of a few threads on a few pages, carried out on the naive model in any order that
// keeps each thread's own and the waits: maps at the end, and what every fault and every failed
// call finds, are as recorded. That the waits are needed is shown by leaving them out, and that
// they are few by programs whose threads have nothing to do with each other.

#include "client/recording/replay_order.h"

#include <rapidcheck.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "client/recording/concat.h"
#include "client/recording/ranges.h"
#include "client/recording/recording.h"
#include "tests/client/recording/naive_maps.h"
#include "tests/client/recording/traces.h"

namespace faultline::client {
namespace {

constexpr uint64_t kArena = 0x10'0000;
constexpr uint64_t kArenaPages = 8;
constexpr uint64_t kHeap = 0x80'0000;
constexpr uint32_t kThreads = 4;
constexpr uint64_t kAnonymousFixed = 0x32;

/// Numbers of an operation out of one.
class Draw {
 public:
  explicit Draw(uint64_t number) : number_(number * 0x9e3779b97f4a7c15 + 1) {}
  uint64_t Below(uint64_t bound) {
    number_ ^= number_ >> 29;
    number_ *= 0xbf58476d1ce4e5b9;
    number_ ^= number_ >> 32;
    return number_ % bound;
  }

 private:
  uint64_t number_;
};

Operation OperationFrom(uint64_t number) {
  Draw draw(number);
  Operation op;
  op.thread = static_cast<uint32_t>(draw.Below(kThreads));
  const uint64_t address = kArena + draw.Below(kArenaPages) * kPageBytes;
  const uint64_t length = (1 + draw.Below(3)) * kPageBytes - draw.Below(2) * 100;
  const uint64_t to = kArena + draw.Below(kArenaPages) * kPageBytes;
  switch (draw.Below(8)) {
    case 0:
    case 1:
      op.kind = OpKind::kMmap;
      op.args = {address, length, draw.Below(8), kAnonymousFixed, UINT64_MAX, 0};
      op.result = address;
      break;
    case 2:
      op.kind = OpKind::kMunmap;
      op.args = {address, length};
      break;
    case 3:
      op.kind = OpKind::kMprotect;
      op.args = {address, length, draw.Below(8)};
      // What one that failed for lack of a mapping met has to be there again.
      if (draw.Below(4) == 0) op.error = 22;
      break;
    case 4:
      op.kind = OpKind::kMremap;
      op.args = {address, kPageBytes, kPageBytes, 3, to};
      op.result = to;
      break;
    case 5:
      op.kind = OpKind::kBrk;
      op.args = {kHeap + draw.Below(6) * kPageBytes};
      op.result = op.args[0];
      break;
    default:
      op.kind = OpKind::kUserFault;
      op.args = {address + draw.Below(kPageBytes), kFaultUser, 0};
      break;
  }
  return op;
}

Recording ProgramOf(const std::vector<uint64_t>& numbers) {
  Recording recording;
  recording.processes.push_back({.pid = 1, .parent = kNoIndex});
  recording.images.emplace_back().brk_start = kHeap;
  for (uint32_t i = 0; i < kThreads; ++i) {
    recording.threads.push_back({.tid = i, .process = 0, .comm = "", .begin_ns = 0});
  }
  for (const uint64_t number : numbers) recording.operations.push_back(OperationFrom(number));
  return recording;
}

/// Maps at the end, and what was met on the way, by operation.
struct Outcome {
  NaiveMaps maps;
  std::vector<std::string> met;
  bool operator==(const Outcome&) const = default;
};

Outcome Start(const Recording& recording) {
  return {.maps = NaiveMaps({}, recording.images[0].brk_start),
          .met = std::vector<std::string>(recording.operations.size())};
}

void CarryOut(const Recording& recording, uint32_t index, Outcome& outcome) {
  const Operation& op = recording.operations[index];
  if (IsFault(op.kind) || op.error != 0) {
    outcome.met[index] =
        outcome.maps.PagesIn(PagesOf(op.args[0], IsFault(op.kind) ? 1 : op.args[1]));
  }
  outcome.maps.Apply(op);
}

Outcome AsRecorded(const Recording& recording) {
  Outcome outcome = Start(recording);
  for (uint32_t i = 0; i < recording.operations.size(); ++i) CarryOut(recording, i, outcome);
  return outcome;
}

enum class Waits { kKept, kIgnored };

/// In an order that `seed` chooses: any thread that need not wait may be next.
Outcome AnyOrder(const Recording& recording, const std::vector<ReplayThread>& threads, Waits waits,
                 uint64_t seed) {
  Outcome outcome = Start(recording);
  std::vector<uint32_t> done(threads.size());
  Draw draw(seed);
  for (;;) {
    std::vector<uint32_t> ready;
    bool finished = true;
    for (uint32_t i = 0; i < threads.size(); ++i) {
      if (done[i] == threads[i].steps.size()) continue;
      finished = false;
      const auto held = [&](const ReplayWait& wait) { return done[wait.thread] < wait.steps; };
      if (waits == Waits::kIgnored ||
          std::ranges::none_of(threads[i].WaitsOf(threads[i].steps[done[i]]), held)) {
        ready.push_back(i);
      }
    }
    if (finished) return outcome;
    if (ready.empty()) {
      outcome.met.emplace_back("deadlock");
      return outcome;
    }
    const uint32_t thread = ready[draw.Below(ready.size())];
    CarryOut(recording, threads[thread].steps[done[thread]++].operation, outcome);
  }
}

TEST(ReplayOrderTest, AnyInterleavingThatKeepsTheWaitsComesOutAsRecorded) {
  EXPECT_TRUE(rc::check("interleavings", [](const std::vector<uint64_t>& numbers, uint64_t seed) {
    const Recording recording = ProgramOf(numbers);
    const std::vector<ReplayThread> threads = OrderForReplay(recording);
    const Outcome expected = AsRecorded(recording);
    for (uint64_t i = 0; i < 20; ++i) {
      RC_ASSERT(AnyOrder(recording, threads, Waits::kKept, seed + i) == expected);
    }
  }));
}

TEST(ReplayOrderTest, LongProgramsComeOutAsRecordedAndNotWithoutTheWaits) {
  uint64_t different = 0;
  for (uint64_t program = 0; program < 20; ++program) {
    std::vector<uint64_t> numbers(400);
    std::iota(numbers.begin(), numbers.end(), program * 1000);
    const Recording recording = ProgramOf(numbers);
    const std::vector<ReplayThread> threads = OrderForReplay(recording);
    const Outcome expected = AsRecorded(recording);
    for (uint64_t seed = 0; seed < 5; ++seed) {
      EXPECT_EQ(AnyOrder(recording, threads, Waits::kKept, seed), expected)
          << "program " << program << ", seed " << seed;
    }
    if (AnyOrder(recording, threads, Waits::kIgnored, program) != expected) ++different;
  }
  EXPECT_EQ(different, 20u);
}

Operation MmapOf(uint32_t thread, uint64_t address) {
  Operation op;
  op.kind = OpKind::kMmap;
  op.thread = thread;
  op.args = {0, kPageBytes, 3, 0x22, UINT64_MAX, 0};
  op.result = address;
  return op;
}

Operation FaultOf(uint32_t thread, uint64_t address) {
  Operation op;
  op.kind = OpKind::kUserFault;
  op.thread = thread;
  op.args = {address, kFaultUser, 0};
  return op;
}

TEST(ReplayOrderTest, ThreadsThatShareNoPagesNeverWait) {
  Recording recording = ProgramOf({});
  for (uint64_t i = 0; i < 400; ++i) {
    const auto thread = static_cast<uint32_t>(i % kThreads);
    const uint64_t address = (1 + thread) << 24;
    recording.operations.push_back(i % 3 == 0 ? MmapOf(thread, address) : FaultOf(thread, address));
  }
  for (const ReplayThread& thread : OrderForReplay(recording)) EXPECT_TRUE(thread.waits.empty());
}

TEST(ReplayOrderTest, AFaultWaitsOnceForTheMappingThatAnotherThreadMade) {
  Recording recording = ProgramOf({});
  recording.operations = {FaultOf(0, 0x5000), MmapOf(0, 0x1000), FaultOf(1, 0x1008),
                          FaultOf(1, 0x1010)};
  const std::vector<ReplayThread> threads = OrderForReplay(recording);
  EXPECT_EQ(threads[1].waits, (std::vector<ReplayWait>{{.thread = 0, .steps = 2}}));
  EXPECT_EQ(threads[1].steps[0].wait_count, 1u);
  EXPECT_EQ(threads[1].steps[1].wait_count, 0u);
  EXPECT_TRUE(threads[0].waits.empty());
}

TEST(ReplayOrderTest, AnUnmapWaitsForTheFaultsOfAllThreadsInItsRange) {
  Recording recording = ProgramOf({});
  Operation munmap;
  munmap.kind = OpKind::kMunmap;
  munmap.thread = 0;
  munmap.args = {0x1000, kPageBytes};
  recording.operations = {MmapOf(0, 0x1000), FaultOf(1, 0x1000), FaultOf(2, 0x1000),
                          FaultOf(3, 0x9000), munmap};
  const std::vector<ReplayThread> threads = OrderForReplay(recording);
  EXPECT_EQ(threads[0].waits,
            (std::vector<ReplayWait>{{.thread = 1, .steps = 1}, {.thread = 2, .steps = 1}}));
}

TEST(ReplayOrderTest, ThreadsBeginBehindTheirCloneAndAProcessEndsBehindItsThreads) {
  Recording recording = ProgramOf({});
  Operation clone;
  clone.kind = OpKind::kCloneThread;
  clone.args = {1};
  Operation end;
  end.kind = OpKind::kExitProcess;
  recording.operations = {clone, FaultOf(1, 0x1000), FaultOf(1, 0x1000), end};
  const std::vector<ReplayThread> threads = OrderForReplay(recording);
  EXPECT_EQ(threads[1].waits, (std::vector<ReplayWait>{{.thread = 0, .steps = 1}}));
  EXPECT_EQ(threads[0].waits, (std::vector<ReplayWait>{{.thread = 1, .steps = 2}}));
}

TEST(ReplayOrderTest, AParentOfVforkGoesOnBehindTheExecOfItsChild) {
  Recording recording = ProgramOf({});
  recording.processes.push_back({.pid = 2, .parent = 0});
  recording.threads[1].process = 1;
  recording.images.emplace_back().process = 1;
  Operation vfork;
  vfork.kind = OpKind::kFork;
  vfork.args = {1, 0};
  Operation exec;
  exec.kind = OpKind::kExec;
  exec.thread = 1;
  exec.args = {1, 0, 0};
  recording.operations = {vfork, FaultOf(1, 0x1000), exec, FaultOf(0, 0x1000)};
  const std::vector<ReplayThread> threads = OrderForReplay(recording);
  EXPECT_EQ(threads[1].waits, (std::vector<ReplayWait>{{.thread = 0, .steps = 1}}));
  EXPECT_EQ(threads[0].waits, (std::vector<ReplayWait>{{.thread = 1, .steps = 2}}));
}

TEST(ReplayOrderTest, ARealProgramHasFewWaitsAndComesOutAsRecorded) {
  const Recording& recording = Pythreads();
  const std::vector<ReplayThread> threads = OrderForReplay(recording);
  std::size_t waits = 0;
  std::size_t steps = 0;
  for (const ReplayThread& thread : threads) {
    waits += thread.waits.size();
    steps += thread.steps.size();
  }
  EXPECT_EQ(steps, recording.operations.size());
  EXPECT_LT(waits, steps / 10) << waits << " waits for " << steps << " steps";
  RecordProperty("waits", static_cast<int>(waits));
  for (uint64_t seed = 0; seed < 3; ++seed) {
    std::vector<uint32_t> done(threads.size());
    NaiveMaps maps(recording.images[1].start, recording.images[1].brk_start);
    Draw draw(seed);
    for (std::size_t left = steps; left != 0;) {
      const auto i = static_cast<uint32_t>(draw.Below(threads.size()));
      if (done[i] == threads[i].steps.size()) continue;
      const ReplayStep& step = threads[i].steps[done[i]];
      const auto held = [&](const ReplayWait& wait) { return done[wait.thread] < wait.steps; };
      if (std::ranges::any_of(threads[i].WaitsOf(step), held)) continue;
      const Operation& op = recording.operations[step.operation];
      if (op.image == 1) maps.Apply(op);
      ++done[i];
      --left;
    }
    EXPECT_EQ(maps.Difference(recording.images[1].end), "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace faultline::client

// SPDX-License-Identifier: Apache-2.0
//
// Implementation of random_program.h.
#include "tests/core/explore/random_program.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>
#include <string_view>
#include <utility>

#include <absl/strings/str_format.h>

#include "core/base/check.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

constexpr uint32_t kMaxProgramFibers = 4;
constexpr uint32_t kWords = 3;

/// An object behind the shared pointer.
struct Cell {
  explicit Cell(int first) : value(first) {}
  Atomic<int> value;
  RcuHead rcu;
  Heap* heap = nullptr;
  Atomic<int>* counts_freed = nullptr;  ///< what its callback adds to

  static void AfterGracePeriod(RcuHead* head) {
    auto* cell = reinterpret_cast<Cell*>(reinterpret_cast<std::byte*>(head) - offsetof(Cell, rcu));
    if (cell->counts_freed != nullptr) {
      cell->counts_freed->FetchAdd(cell->value.Load(kRelaxed), kRelaxed);
    }
    cell->heap->Delete(cell);
  }
};

/// Shared state of one run and the interpreter over it.
class World {
 public:
  explicit World(Heap& heap) : heap_(heap), pointer_(NewCell(9, 0)) {}

  void RunFiber(const Program& program, uint32_t me) {
    task_[me] = &CurrentTask();
    for (const Block& block : program.fibers[me]) RunBlock(block, me);
    AnnounceEnd(program, me);
  }

  /// Frees what is left and sums up the final state.
  uint64_t Finish(const Program& program) {
    heap_.Delete(pointer_.Load(kRelaxed));
    uint64_t digest = 0;
    for (const Atomic<int>& word : word_) Mix(digest, uint64_t(word.Load(kRelaxed)));
    for (uint32_t i = 0; i < program.fibers.size(); ++i) Mix(digest, register_[i]);
    return digest;
  }

 private:
  static void Mix(uint64_t& sum, uint64_t value) {
    sum = (sum ^ (value + 0x9e3779b97f4a7c15u)) * 0xff51afd7ed558ccdu;
    sum ^= sum >> 29;
  }
  void Learn(uint32_t me, int value) {
    last_[me] = value;
    Mix(register_[me], uint64_t(value));
  }

  void RunBlock(const Block& block, uint32_t me) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    switch (block.bracket) {
      case Bracket::kNone:
      case Bracket::kCount:
        return RunActions(block, me);
      case Bracket::kSpinLock: {
        const LockGuard guard(spin_);
        return RunActions(block, me);
      }
      case Bracket::kTrySpinLock:
        return Try(spin_, block, me);
      case Bracket::kMutex: {
        const LockGuard guard(mutex_);
        return RunActions(block, me);
      }
      case Bracket::kTryMutex:
        return Try(mutex_, block, me);
      case Bracket::kKillableMutex:
        if (!mutex_.LockKillable()) return Learn(me, 5);
        RunActions(block, me);
        return mutex_.Unlock();
      case Bracket::kMutexAndSpinLock: {
        const LockGuard outer(mutex_);
        const LockGuard inner(spin_);
        return RunActions(block, me);
      }
      case Bracket::kRead: {
        const ReadGuard guard(sem_);
        return RunActions(block, me);
      }
      case Bracket::kWrite: {
        const WriteGuard guard(sem_);
        return RunActions(block, me);
      }
      case Bracket::kTryWrite:
        return Try(sem_, block, me);
      case Bracket::kDowngrade:
        sem_.Lock();
        RunActions(block, me);
        sem_.Downgrade();
        RunActions(block, me);
        return sem_.UnlockShared();
      case Bracket::kSeqWrite: {
        const LockGuard lock(spin_);
        const SeqWriteGuard guard(seq_);
        return RunActions(block, me);
      }
      case Bracket::kRcu: {
        const RcuGuard guard;
        return RunActions(block, me);
      }
    }
  }

  template <class Lock>
  void Try(Lock& lock, const Block& block, uint32_t me) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const bool got = lock.TryLock();
    Learn(me, got ? 1 : 0);
    if (!got) return;
    RunActions(block, me);
    lock.Unlock();
  }

  void RunActions(const Block& block, uint32_t me) {
    for (const Action& action : block.actions) {
      if (action.kind < ActionKind::kFollow) {
        RunOnWord(action, me);
      } else if (action.kind < ActionKind::kSpinForEnd) {
        RunOnObject(action, me);
      } else {
        RunWait(action, me);
      }
    }
  }

  void RunOnWord(const Action& action, uint32_t me) {
    Atomic<int>& word = word_[action.word];
    int value = action.value;
    switch (action.kind) {
      case ActionKind::kLoad:
        return Learn(me, word.Load(kRelaxed));
      case ActionKind::kStore:
        return word.Store(value, kRelaxed);
      case ActionKind::kStoreRegister:
        return word.Store(static_cast<int>(register_[me] & 0xff), kRelaxed);
      case ActionKind::kFetchAdd:
        return Learn(me, word.FetchAdd(value, kRelaxed));
      case ActionKind::kExchange:
        return Learn(me, word.Exchange(value, kRelaxed));
      case ActionKind::kCompareExchange:
        return Learn(me, word.CompareExchange(value, value + 1, kRelaxed, kRelaxed) ? 100 : value);
      case ActionKind::kSeqRead:
        return SeqRead(me);
      default:
        Execution::Current()->Point({OpKind::kYield, nullptr, SourceLoc::Current()});
    }
  }

  void SeqRead(uint32_t me) {
    uint64_t note = 0;
    int sum = 0;
    do {
      note = seq_.ReadBegin();
      sum = word_[0].Load(kRelaxed) * 16 + word_[1].Load(kRelaxed);
    } while (seq_.ReadRetry(note));
    Learn(me, sum);
  }

  void RunOnObject(const Action& action, uint32_t me) {
    Task* const other = task_[action.word];
    switch (action.kind) {
      case ActionKind::kFollow:
        return Learn(me, pointer_.Load(kAcquire)->value.Load(kRelaxed));
      case ActionKind::kReplace:
        return Rcu::Retire(Swap(action)->rcu, &Cell::AfterGracePeriod);
      case ActionKind::kFree:
        return heap_.Delete(Swap(action));
      case ActionKind::kUnpark:
        if (other != nullptr) other->Unpark();
        return;
      case ActionKind::kKill:
        if (other != nullptr) other->Kill();
        return;
      default:
        MM_CHECK_NE(last_[me], int{action.value});
    }
  }

  Cell* NewCell(int value, uint32_t counts) {
    Cell* cell = *heap_.New<Cell>(value);
    cell->heap = &heap_;
    if (value % 2 != 0) cell->counts_freed = &word_[counts];
    return cell;
  }
  Cell* Swap(const Action& action) {
    return pointer_.Exchange(NewCell(action.value, action.word % kWords), kAcqRel);
  }

  void RunWait(const Action& action, uint32_t me) {
    const auto has_ended = [&] { return ended_[action.word].Load(kAcquire) != 0; };
    const auto has_value = [&] { return word_[action.word].Load(kAcquire) == action.value; };
    switch (action.kind) {
      case ActionKind::kSpinForEnd:
        return SpinUntil(has_ended);
      case ActionKind::kQueueForEnd:
        return queue_.Wait(has_ended);
      case ActionKind::kParkForEnd:
        while (!has_ended()) Task::Park();
        return;
      case ActionKind::kKillableForEnd:
        return Learn(me, queue_.WaitKillable(has_ended).ok() ? 1 : 0);
      case ActionKind::kSpinForValue:
        return SpinUntil(has_value);
      case ActionKind::kPark:
        return Task::Park();
      case ActionKind::kSynchronize:
        return Rcu::Synchronize();
      default:
        return Rcu::Barrier();
    }
  }

  /// Tells those who wait for this fiber's end, and no one else: needless steps cost time.
  void AnnounceEnd(const Program& program, uint32_t me) {
    bool is_awaited = false;
    bool is_queued_for = false;
    std::array<bool, kMaxProgramFibers> parks{};
    for (uint32_t other = 0; other < program.fibers.size(); ++other) {
      for (const Block& block : program.fibers[other]) {
        for (const Action& action : block.actions) {
          if (action.kind < ActionKind::kSpinForEnd || action.kind > ActionKind::kKillableForEnd ||
              action.word != me) {
            continue;
          }
          is_awaited = true;
          is_queued_for |=
              action.kind == ActionKind::kQueueForEnd || action.kind == ActionKind::kKillableForEnd;
          parks[other] |= action.kind == ActionKind::kParkForEnd;
        }
      }
    }
    if (is_awaited) ended_[me].Store(1, kRelease);
    if (is_queued_for) queue_.WakeAll();
    for (uint32_t other = 0; other < kMaxProgramFibers; ++other) {
      if (parks[other]) task_[other]->Unpark();
    }
  }

  Heap& heap_;
  std::array<Atomic<int>, kWords> word_{};
  SpinLock<LockRank::kTestInner> spin_;
  Mutex<LockRank::kTestOuter> mutex_;
  RwSem<LockRank::kTestMiddle> sem_;
  SeqCount seq_;
  WaitQueue queue_;
  Atomic<Cell*> pointer_;
  std::array<Atomic<int>, kMaxProgramFibers> ended_{};
  std::array<Task*, kMaxProgramFibers> task_{};
  std::array<uint64_t, kMaxProgramFibers> register_{};
  std::array<int, kMaxProgramFibers> last_{};
};

// -- Making programs ------------------------------------------------------------------------------

uint32_t Below(std::mt19937_64& random, uint32_t end) {
  // Modulo, not std::uniform_int_distribution, whose results differ between libraries.
  return static_cast<uint32_t>(random() % end);
}

ActionKind AnyOf(std::mt19937_64& random, std::initializer_list<ActionKind> kinds) {
  return *(kinds.begin() + Below(random, static_cast<uint32_t>(kinds.size())));
}

Action GenerateAction(std::mt19937_64& random, const ProgramLimits& limits, Bracket bracket,
                      uint32_t me, uint32_t fibers) {
  using enum ActionKind;
  const auto word = static_cast<uint8_t>(Below(random, 2 + Below(random, 2)));
  const auto value = static_cast<uint8_t>(1 + Below(random, 3));
  const auto fiber = static_cast<uint8_t>(Below(random, fibers));
  const uint32_t luck = Below(random, 100);
  if (bracket == Bracket::kRcu && luck < 50) return {kFollow, word, value};
  if (luck < 6) return {kYield, word, value};
  if (luck < 16) return {kReplace, word, value};
  if (luck < 20) return {AnyOf(random, {kUnpark, kKill}), fiber, value};
  if (luck < 24) return {kSeqRead, word, value};
  if (luck < 34 && bracket == Bracket::kNone) {
    if (me != 0) {
      const auto lower = static_cast<uint8_t>(Below(random, me));
      return {AnyOf(random, {kSpinForEnd, kQueueForEnd, kParkForEnd, kKillableForEnd}), lower,
              value};
    }
    return {AnyOf(random, {kSynchronize, kBarrier}), word, value};
  }
  if (luck < 40 && limits.may_violate) {
    if (bracket == Bracket::kNone && luck < 37) {
      return {AnyOf(random, {kSpinForValue, kPark}), word, value};
    }
    return {AnyOf(random, {kCheck, kFollow, kFree}), word, value};
  }
  return {AnyOf(random, {kLoad, kStore, kStoreRegister, kFetchAdd, kExchange, kCompareExchange}),
          word, value};
}

std::vector<Block> GenerateFiber(std::mt19937_64& random, const ProgramLimits& limits, uint32_t me,
                                 uint32_t fibers) {
  std::vector<Block> blocks;
  uint32_t left = 2 + Below(random, limits.max_actions - 1);
  while (left != 0) {
    Block block{Bracket::kNone, {}};
    if (Below(random, 2) == 0) {
      block.bracket = static_cast<Bracket>(Below(random, static_cast<uint32_t>(Bracket::kCount)));
    }
    uint32_t count = 1 + Below(random, std::min(left, 2u));
    left -= count;
    for (; count != 0; --count) {
      block.actions.push_back(GenerateAction(random, limits, block.bracket, me, fibers));
    }
    blocks.push_back(std::move(block));
  }
  return blocks;
}

}  // namespace

Program GenerateProgram(std::mt19937_64& random, const ProgramLimits& limits) {
  Program program{LockDetail::kNone, {}};
  if (limits.may_dissolve_locks) {
    program.detail = static_cast<LockDetail>(std::max(0, int(Below(random, 5)) - 2));
  }
  const uint32_t fibers = 2 + Below(random, limits.max_fibers - 1);
  for (uint32_t i = 0; i < fibers; ++i) {
    program.fibers.push_back(GenerateFiber(random, limits, i, fibers));
  }
  return program;
}

void RunProgram(const Program& program, Execution& run) {
  static constexpr std::array<const char*, kMaxProgramFibers> kNames{"a", "b", "c", "d"};
  MM_CHECK_LE(program.fibers.size(), kNames.size());
  auto* world = run.New<World>(run.heap());
  for (uint32_t i = 0; i < program.fibers.size(); ++i) {
    run.Spawn(kNames[i], [world, &program, i] { world->RunFiber(program, i); });
  }
  run.DigestWith([world, &program] { return world->Finish(program); });
}

// -- Making them smaller --------------------------------------------------------------------------

namespace {

/// Whether every wait still waits for a fiber that is there and has a lower number.
bool IsWellFormed(const Program& program) {
  for (uint32_t me = 0; me < program.fibers.size(); ++me) {
    for (const Block& block : program.fibers[me]) {
      for (const Action& action : block.actions) {
        const bool waits_for_end =
            action.kind >= ActionKind::kSpinForEnd && action.kind <= ActionKind::kKillableForEnd;
        if (waits_for_end && action.word >= me) return false;
      }
    }
  }
  return program.fibers.size() >= 2;
}

}  // namespace

std::vector<Program> SimplerPrograms(const Program& program) {
  std::vector<Program> simpler;
  const auto add = [&](const auto& change) {
    Program changed = program;
    change(changed);
    if (IsWellFormed(changed)) simpler.push_back(std::move(changed));
  };
  for (size_t f = 0; f < program.fibers.size(); ++f) {
    add([f](Program& p) { p.fibers.erase(p.fibers.begin() + std::ptrdiff_t(f)); });
  }
  for (size_t f = 0; f < program.fibers.size(); ++f) {
    for (size_t b = 0; b < program.fibers[f].size(); ++b) {
      const Block& block = program.fibers[f][b];
      add([=](Program& p) { p.fibers[f].erase(p.fibers[f].begin() + std::ptrdiff_t(b)); });
      if (block.bracket != Bracket::kNone) {
        add([=](Program& p) { p.fibers[f][b].bracket = Bracket::kNone; });
      }
      for (size_t a = 0; a < block.actions.size(); ++a) {
        add([=](Program& p) {
          std::vector<Action>& actions = p.fibers[f][b].actions;
          actions.erase(actions.begin() + std::ptrdiff_t(a));
        });
        if (block.actions[a].kind > ActionKind::kStore) {
          add([=](Program& p) { p.fibers[f][b].actions[a].kind = ActionKind::kStore; });
        }
        if (block.actions[a].kind > ActionKind::kLoad) {
          add([=](Program& p) { p.fibers[f][b].actions[a].kind = ActionKind::kLoad; });
        }
      }
    }
  }
  if (program.detail != LockDetail::kNone) add([](Program& p) { p.detail = LockDetail::kNone; });
  return simpler;
}

// -- Printing -------------------------------------------------------------------------------------

namespace {

constexpr std::array<std::string_view, static_cast<size_t>(Bracket::kCount)> kBracketNames{
    "",          "spinlock",       "try spinlock",   "mutex",
    "try mutex", "killable mutex", "mutex+spinlock", "read",
    "write",     "try write",      "downgrade",      "seq write",
    "rcu"};

constexpr std::array<std::string_view, static_cast<size_t>(ActionKind::kCount)> kActionNames{
    "load",
    "store",
    "store register",
    "fetch-add",
    "exchange",
    "compare-exchange",
    "seq read",
    "yield",
    "follow",
    "replace",
    "free",
    "unpark",
    "kill",
    "check",
    "spin for end of",
    "queue for end of",
    "park for end of",
    "killable for end of",
    "spin for value",
    "park",
    "synchronize",
    "barrier"};

}  // namespace

std::string Print(const Program& program) {
  std::string text = absl::StrFormat("lock detail %d\n", static_cast<int>(program.detail));
  for (size_t f = 0; f < program.fibers.size(); ++f) {
    absl::StrAppendFormat(&text, "fiber %d\n", f);
    for (const Block& block : program.fibers[f]) {
      absl::StrAppendFormat(&text, "  %s {", kBracketNames[static_cast<size_t>(block.bracket)]);
      for (const Action& action : block.actions) {
        absl::StrAppendFormat(&text, " %s %d %d;", kActionNames[static_cast<size_t>(action.kind)],
                              action.word, action.value);
      }
      text += " }\n";
    }
  }
  return text;
}

}  // namespace faultline

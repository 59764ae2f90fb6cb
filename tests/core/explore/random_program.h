// SPDX-License-Identifier: Apache-2.0
//
// Random small programs over the sync layer, as data: generated from a seed, run by an interpreter
// in one execution, shrunk by leaving parts out, and printed. They are what the pruned search is
// compared with the unpruned one on (pruning_test.cc).
//
// A program is a few fibers, a fiber a few blocks, a block a bracket (a lock, a read section, or
// nothing) around a few actions. Each fiber folds what it learns into its register; registers and
// words together are the final state. Invariant: a program's behaviour depends on its schedule
// alone.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "core/sync/atomic_step.h"
#include "core/sync/modelled/execution.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// What surrounds a block's actions.
enum class Bracket : uint8_t {
  kNone,
  kSpinLock,
  kTrySpinLock,
  kMutex,
  kTryMutex,
  kKillableMutex,
  kMutexAndSpinLock,
  kRead,
  kWrite,
  kTryWrite,
  kDowngrade,  ///< the actions run twice: held for writing, then for reading
  kSeqWrite,
  kRcu,
  kCount
};

enum class ActionKind : uint8_t {
  kLoad,
  kStore,
  kStoreRegister,
  kFetchAdd,
  kExchange,
  kCompareExchange,
  kSeqRead,
  kYield,
  kFollow,   ///< loads through the shared pointer; outside of a section that may be a bug
  kReplace,  ///< replaces the pointer's object and retires the old one
  kFree,     ///< replaces the pointer's object and frees the old one at once: may be a bug
  kUnpark,
  kKill,
  kCheck,  ///< fails if the fiber learnt this value last
  // Those below may wait and stand in no bracket.
  kSpinForEnd,   ///< until a fiber with a lower number has ended
  kQueueForEnd,  ///< likewise, in a wait queue
  kParkForEnd,   ///< likewise, parked
  kKillableForEnd,
  kSpinForValue,  ///< may wait for ever
  kPark,          ///< may wait for ever
  kSynchronize,
  kBarrier,
  kCount
};

struct Action {
  ActionKind kind;
  uint8_t word;   ///< which word, or which fiber
  uint8_t value;  ///< what to store, add or expect
};

struct Block {
  Bracket bracket;
  std::vector<Action> actions;
};

struct Program {
  LockDetail detail;
  std::vector<std::vector<Block>> fibers;
};

/// How much there may be of everything.
struct ProgramLimits {
  uint32_t max_fibers = 3;
  uint32_t max_actions = 5;  ///< per fiber
  bool may_violate = false;  ///< actions that can end in a violation
  bool may_dissolve_locks = true;
};

/// A program that depends on nothing but `random`'s state.
[[nodiscard]] Program GenerateProgram(std::mt19937_64& random, const ProgramLimits& limits);

/// Sets the program up in `run`. `program` outlives the run.
void RunProgram(const Program& program, Execution& run);

/// Every program that is this one with one part left out or made simpler, largest parts first.
[[nodiscard]] std::vector<Program> SimplerPrograms(const Program& program);

/// One line per block, as a person would write it.
[[nodiscard]] std::string Print(const Program& program);

}  // namespace faultline

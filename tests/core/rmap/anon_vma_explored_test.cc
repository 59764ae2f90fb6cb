// SPDX-License-Identifier: Apache-2.0
//
// anon_vmas under every schedule within the bound: two faults that prepare one VMA, and relatives
// that leave a fork tree together. The modelled build reports a touch of a freed anon_vma, and one
// that is never freed.

#include <gtest/gtest.h>

#include "core/rmap/anon_vma.h"
#include "tests/core/sync/modelled_runs.h"

namespace faultline {
namespace {

struct State {
  explicit State(Heap& heap) : anon_vmas(heap) {}

  SpinLock<LockRank::kPageTable> page_table_lock;
  AnonVmas anon_vmas;
  Vma parent;
  Vma child;
  Vma grandchild;
};

TEST(AnonVmaExploredTest, OfTwoFaultsOneAnonVmaStays) {
  ExpectClean([](Execution& run) {
    State* state = run.New<State>(run.heap());
    for (const char* name : {"first", "second"}) {
      run.Spawn(name, [=] {
        MM_CHECK(state->anon_vmas.Prepare(state->parent, nullptr, state->page_table_lock).ok());
        MM_CHECK(state->parent.anon_vma() != nullptr);
      });
    }
    run.AtEnd([=] {
      AnonVmas::Validate(state->parent);
      MM_CHECK_EQ(state->anon_vmas.count(), 1u);
      MM_CHECK_EQ(state->parent.anon_vma()->num_active_vmas(), 1u);
      state->anon_vmas.Unlink(state->parent);
    });
  });
}

/// A parent, its child and a grandchild.
State* NewFamily(Execution& run) {
  State* state = run.New<State>(run.heap());
  MM_CHECK(state->anon_vmas.Prepare(state->parent, nullptr, state->page_table_lock).ok());
  MM_CHECK(state->anon_vmas.Fork(state->child, state->parent).ok());
  MM_CHECK(state->anon_vmas.Fork(state->grandchild, state->child).ok());
  return state;
}

void ExpectCleanExits(const ExecutionOptions& options) {
  ExpectClean(
      [](Execution& run) {
        State* state = NewFamily(run);
        run.Spawn("parent", [=] { state->anon_vmas.Unlink(state->parent); });
        run.Spawn("child", [=] { state->anon_vmas.Unlink(state->child); });
        run.Spawn("grandchild", [=] { state->anon_vmas.Unlink(state->grandchild); });
        run.AtEnd([=] { MM_CHECK_EQ(state->anon_vmas.count(), 0u); });
      },
      options);
}

TEST(AnonVmaExploredTest, RelativesLeaveTheTreeTogether) { ExpectCleanExits(kWholeLocks); }

TEST(AnonVmaExploredTest, AForkMeetsTheExitOfARelative) {
  ExpectClean([](Execution& run) {
    State* state = NewFamily(run);
    Vma* fresh = run.New<Vma>();
    run.Spawn("parent", [=] { state->anon_vmas.Unlink(state->parent); });
    run.Spawn("grandchild", [=] {
      MM_CHECK(state->anon_vmas.Fork(*fresh, state->grandchild).ok());
      AnonVmas::Validate(*fresh);
      state->anon_vmas.Unlink(state->grandchild);
    });
    run.Spawn("child", [=] { state->anon_vmas.Unlink(state->child); });
    run.AtEnd([=] {
      AnonVmas::Validate(*fresh);
      state->anon_vmas.Unlink(*fresh);
    });
  });
}

/// Two VMAs of one anon_vma go, with the insides of the lock showing: whoever releases it second
/// has freed the lock that the first is still leaving.
TEST(AnonVmaExploredTest, TheLockOutlivesItsRelease) {
  ExpectClean(
      [](Execution& run) {
        State* state = run.New<State>(run.heap());
        MM_CHECK(state->anon_vmas.Prepare(state->parent, nullptr, state->page_table_lock).ok());
        state->child.SetAnonVma(state->parent.anon_vma());
        MM_CHECK(state->anon_vmas.Clone(state->child, state->parent).ok());
        run.Spawn("first", [=] { state->anon_vmas.Unlink(state->parent); });
        run.Spawn("second", [=] { state->anon_vmas.Unlink(state->child); });
        run.AtEnd([=] { MM_CHECK_EQ(state->anon_vmas.count(), 0u); });
      },
      {.detail = LockDetail::kSleeping});
}

}  // namespace
}  // namespace faultline

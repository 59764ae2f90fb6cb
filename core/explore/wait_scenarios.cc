// SPDX-License-Identifier: Apache-2.0
//
// Scenarios of waiting for an event: wait queues and completions. What must hold: nobody sleeps for
// ever, a kill ends a killable wait, and a killed waiter does not swallow another one's wake-up.
#include "core/base/check.h"
#include "core/explore/sync_scenarios.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

void WaitQueueWakes(Execution& run) {
  struct State {
    WaitQueue queue;
    Atomic<int> tokens{0};
    int taken = 0;
  };
  auto* state = run.New<State>();
  run.NameObject(&state->queue, sizeof(state->queue), "queue");
  run.NameObject(&state->tokens, sizeof(state->tokens), "tokens");
  const auto take = [state] {
    state->queue.Wait([state] {
      int tokens = state->tokens.Load(kAcquire);
      while (tokens > 0) {
        if (state->tokens.CompareExchange(tokens, tokens - 1, kAcquire, kAcquire)) return true;
      }
      return false;
    });
    ++state->taken;
  };
  run.Spawn("waiter", take);
  run.Spawn("waiter2", take);
  run.Spawn("waker", [state] {
    for (int i = 0; i < 2; ++i) {
      state->tokens.FetchAdd(1, kRelease);
      state->queue.WakeOne();
    }
  });
  run.AtEnd([state] { MM_CHECK_EQ(state->taken, 2); });
}

void WaitQueueKill(Execution& run) {
  struct State {
    WaitQueue queue;
    Atomic<int> ready{0};
    Task* victim = nullptr;
    int ok = 0;
  };
  auto* state = run.New<State>();
  run.NameObject(&state->queue, sizeof(state->queue), "queue");
  run.Spawn("victim", [state] {
    state->victim = &CurrentTask();
    const auto is_ready = [state] { return state->ready.Load(kAcquire) != 0; };
    if (state->queue.WaitKillable(is_ready).ok()) {
      MM_CHECK(state->ready.Peek() != 0);
      ++state->ok;
    }
  });
  run.Spawn("patient",
            [state] { state->queue.Wait([state] { return state->ready.Load(kAcquire) != 0; }); });
  run.Spawn("waker", [state] {
    state->victim->Kill();
    state->ready.Store(1, kRelease);
    // One wake-up for two waiters, one of whom is being killed: it must reach the other.
    state->queue.WakeOne();
    state->queue.WakeOne();
  });
  run.DigestWith([state] { return uint64_t(state->ok); });
}

void CompletionLetsThrough(Execution& run) {
  struct State {
    Completion done;
    Atomic<int> value{0};
    int seen = 0;
  };
  auto* state = run.New<State>();
  run.NameObject(&state->done, sizeof(state->done), "done");
  for (const char* name : {"waiter", "waiter2"}) {
    run.Spawn(name, [state] {
      state->done.Wait();
      state->seen += state->value.Load(kRelaxed);
    });
  }
  run.Spawn("worker", [state] {
    state->value.Store(1, kRelaxed);
    state->done.Complete();
    state->done.Complete();
  });
  run.AtEnd([state] { MM_CHECK_EQ(state->seen, 2); });
}

ExecutionOptions Detail(LockDetail detail) { return {.detail = detail}; }

}  // namespace

std::vector<Scenario> WaitScenarios() {
  constexpr auto kSleeping = LockDetail::kSleeping;
  return {
      {"wait_queue", "two waiters and two wake-ups", {}, Detail(kSleeping), &WaitQueueWakes},
      {"wait_queue_kill",
       "a killed waiter does not swallow another's wake-up",
       {},
       Detail(kSleeping),
       &WaitQueueKill},
      {"completion", "two waiters, completed twice", {}, Detail(kSleeping), &CompletionLetsThrough},
  };
}

}  // namespace faultline

// SPDX-License-Identifier: Apache-2.0
//
// A Mapping under every schedule within the bound: two tasks ask for one page, a late reader meets
// the last Put. The modelled build reports touches of a freed Mapping, and leaks.

#include <gtest/gtest.h>

#include "core/pagecache/mapping.h"
#include "tests/core/sync/modelled_runs.h"

namespace faultline {
namespace {

struct State {
  explicit State(Execution& run)
      : cpus(2), frames(std::move(*FrameAllocator::Create({.frames = 32}, run.heap(), cpus))) {
    const Result<Mapping*> made = Mapping::Create({.bytes = kPageSize}, *frames, run.heap());
    mapping.Publish(*made);
  }
  /// Every frame is back.
  void End() {
    frames->Validate();
    MM_CHECK_EQ(frames->free_frames(), frames->total_frames());
    this->~State();
  }

  CpuSet cpus;
  FrameAllocator::Ptr frames;
  RcuPtr<Mapping> mapping;
  Folio* got[2] = {};
};

TEST(MappingExploredTest, TwoTasksGetOneFolio) {
  ExpectClean([](Execution& run) {
    State* state = run.New<State>(run);
    Mapping* mapping = state->mapping.LoadLocked();
    for (int i = 0; i < 2; ++i) {
      run.Spawn(i == 0 ? "first" : "second",
                [=] { state->got[i] = *mapping->FindOrCreate(PageIndex(0), Gfp::kKernel); });
    }
    run.AtEnd([=] {
      MM_CHECK_EQ(state->got[0], state->got[1]);
      MM_CHECK_EQ(state->got[0]->refcount(), 3u);
      MM_CHECK_EQ(mapping->resident_pages(), 1u);
      state->frames->Put(*state->got[0], 2);
      mapping->Put();
      state->End();
    });
  });
}

TEST(MappingExploredTest, ALateReaderMeetsTheLastPut) {
  ExpectClean([](Execution& run) {
    State* state = run.New<State>(run);
    run.Spawn("reader", [=] {
      const RcuGuard guard;
      const RcuRef<Mapping> mapping = state->mapping.Read();
      if (!mapping) return;
      const Result<Folio*> folio = mapping->FindOrCreate(PageIndex(0), Gfp::kNowait);
      if (folio.ok()) state->frames->Put(**folio);
    });
    run.Spawn("last user", [=] {
      Mapping* mapping = state->mapping.LoadLocked();
      state->mapping.Publish(nullptr);
      mapping->Put();
    });
    run.AtEnd([=] { state->End(); });
  });
}

}  // namespace
}  // namespace faultline

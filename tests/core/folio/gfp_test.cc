// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/folio/gfp.h and core/folio/alloc_scope.h: what the common values consist of, and
// what a task's scopes and RCU sections make of them.

#include "core/folio/gfp.h"

#include <gtest/gtest.h>

#include "core/folio/alloc_scope.h"
#include "core/sync/sync.h"

namespace faultline {
namespace {

TEST(GfpTest, KernelMaySleepAndDoAllThatReclaimDoes) {
  EXPECT_EQ(Gfp::kKernel, Gfp::kDirectReclaim | Gfp::kKswapd | Gfp::kIo | Gfp::kFs);
  EXPECT_FALSE(Gfp::kKernel.Has(Gfp::kNowarn));
}

TEST(GfpTest, NowaitWakesKswapdAndFailsQuietly) {
  EXPECT_EQ(Gfp::kNowait, Gfp::kKswapd | Gfp::kNowarn);
  EXPECT_FALSE(Gfp::kNowait.Has(Gfp::kDirectReclaim));
}

TEST(GfpTest, FlagsAreAddedAndTakenAwayAsSets) {
  static_assert(sizeof(Gfp) == 4 && std::is_trivially_copyable_v<Gfp>);
  constexpr Gfp kBoth = Gfp::kHigh | Gfp::kNomemalloc;
  static_assert(kBoth.Has(Gfp::kHigh) && kBoth.Has(kBoth) && kBoth.Has(Gfp()));
  static_assert(!Gfp(Gfp::kHigh).Has(kBoth));
  static_assert(kBoth.Without(Gfp::kHigh | Gfp::kIo) == Gfp::kNomemalloc);
  Gfp gfp;
  gfp |= Gfp::kFs;
  EXPECT_EQ(gfp, Gfp::kFs);
}

TEST(AllocScopeTest, OutsideOfScopesARequestIsWhatItSays) {
  for (const Gfp gfp : {Gfp::kKernel, Gfp::kNowait, Gfp::kKernel | Gfp::kNowaitInRcu, Gfp()}) {
    EXPECT_EQ(EffectiveGfp(gfp), gfp);
  }
  EXPECT_EQ(AllocScope::Depth(), 0u);
}

TEST(AllocScopeTest, NofsTakesFileSystemsAway) {
  const AllocScope scope(AllocScope::kNoFs);
  EXPECT_EQ(EffectiveGfp(Gfp::kKernel), Gfp::kKernel.Without(Gfp::kFs));
}

TEST(AllocScopeTest, NoioTakesIoAndFileSystemsAway) {
  const AllocScope scope(AllocScope::kNoIo);
  EXPECT_EQ(EffectiveGfp(Gfp::kKernel), Gfp::kDirectReclaim | Gfp::kKswapd);
}

TEST(AllocScopeTest, NowaitTakesDirectReclaimAwayAndSilencesFailure) {
  const AllocScope scope(AllocScope::kNowait);
  EXPECT_EQ(EffectiveGfp(Gfp::kKernel), Gfp::kKernel.Without(Gfp::kDirectReclaim) | Gfp::kNowarn);
  EXPECT_EQ(EffectiveGfp(Gfp::kNowait), Gfp::kNowait);
}

TEST(AllocScopeTest, InnerScopesAddAndTheirEndRestores) {
  const AllocScope outer(AllocScope::kNoFs);
  {
    const AllocScope inner(AllocScope::kNowait);
    EXPECT_EQ(AllocScope::Depth(), 2u);
    EXPECT_EQ(AllocScope::Limits(), AllocScope::kNoFs | AllocScope::kNowait);
    {
      const AllocScope again(AllocScope::kNoFs);
      EXPECT_EQ(AllocScope::Depth(), 3u);
      EXPECT_EQ(AllocScope::Limits(), AllocScope::kNoFs | AllocScope::kNowait);
    }
    EXPECT_EQ(AllocScope::Limits(), AllocScope::kNoFs | AllocScope::kNowait);
  }
  EXPECT_EQ(AllocScope::Depth(), 1u);
  EXPECT_EQ(AllocScope::Limits(), uint32_t{AllocScope::kNoFs});
}

TEST(AllocScopeTest, AnRcuSectionCountsForThoseWhoAskThatItDoes) {
  const RcuGuard guard;
  EXPECT_EQ(EffectiveGfp(Gfp::kKernel), Gfp::kKernel);
  // Outside of a run the modelled build knows no sections; there it is an explored test.
  if (!Rcu::InSection()) return;
  const Gfp asks = Gfp::kKernel | Gfp::kNowaitInRcu;
  EXPECT_EQ(EffectiveGfp(asks), asks.Without(Gfp::kDirectReclaim) | Gfp::kNowarn);
}

}  // namespace
}  // namespace faultline

// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/folio/buddy.h: what splits, what is joined again, and that nothing is touched
// before it is needed.

#include "core/folio/buddy.h"

#include <algorithm>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "core/base/arena.h"
#include "core/sync/guards.h"

namespace faultline {
namespace {

constexpr uint32_t kMaxOrder = Buddy::kMaxOrder;
constexpr uint64_t kLargest = uint64_t{1} << kMaxOrder;

/// A buddy over frames 1 to `frames` - 1, with its lock taken care of.
class Zone {
 public:
  explicit Zone(uint64_t frames)
      : arena_(std::move(*Arena::Create(frames * sizeof(Folio)))),
        folios_(static_cast<Folio*>(*arena_.Allocate(frames * sizeof(Folio), 64))),
        buddy_(folios_, 1, frames) {}

  /// The first frame of a block of that order; 0 if there is none.
  uint64_t Take(uint32_t order) {
    const LockGuard guard(buddy_.lock());
    Folio* folio = buddy_.TakeLocked(order);
    return folio == nullptr ? 0 : static_cast<uint64_t>(folio - folios_);
  }
  void Give(uint64_t pfn, uint32_t order) {
    const LockGuard guard(buddy_.lock());
    buddy_.GiveLocked(folios_[pfn], order);
  }
  [[nodiscard]] uint64_t FreeFrames() {
    const LockGuard guard(buddy_.lock());
    return buddy_.free_frames_locked();
  }
  [[nodiscard]] uint64_t Watermark() {
    const LockGuard guard(buddy_.lock());
    return buddy_.watermark_locked();
  }
  /// Checks the lists and returns the free blocks: first frame and size.
  [[nodiscard]] std::map<uint64_t, uint64_t> FreeBlocks() {
    const LockGuard guard(buddy_.lock());
    std::map<uint64_t, uint64_t> blocks;
    buddy_.ValidateLocked(
        [&](uint64_t pfn, uint64_t frames) { MM_CHECK(blocks.emplace(pfn, frames).second); });
    return blocks;
  }

 private:
  Arena arena_;
  Folio* folios_;
  Buddy buddy_;
};

TEST(BuddyTest, TouchesNothingBeforeTheFirstBlockIsTaken) {
  Zone zone(4 * kLargest);
  EXPECT_EQ(zone.Watermark(), 1u);
  EXPECT_EQ(zone.FreeFrames(), 4 * kLargest - 1);
  EXPECT_EQ(zone.Take(0), 1u);
  EXPECT_EQ(zone.Watermark(), kLargest);
}

TEST(BuddyTest, HandsOutFramesFromTheLowestUp) {
  Zone zone(3 * kLargest);
  for (uint64_t pfn = 1; pfn < 3 * kLargest; ++pfn) ASSERT_EQ(zone.Take(0), pfn);
}

TEST(BuddyTest, PrefersUsedBlocksToNewOnes) {
  Zone zone(4 * kLargest);
  const uint64_t pfn = zone.Take(kMaxOrder);
  EXPECT_EQ(pfn, kLargest);
  zone.Give(pfn, kMaxOrder);
  EXPECT_EQ(zone.Take(kMaxOrder), kLargest);
  EXPECT_EQ(zone.Watermark(), 2 * kLargest);
}

TEST(BuddyTest, JoinsFramesGivenBackInRandomOrderToTheLargestBlocks) {
  Zone zone(3 * kLargest + 64);
  std::vector<uint64_t> taken;
  while (const uint64_t pfn = zone.Take(0)) taken.push_back(pfn);
  EXPECT_EQ(taken.size(), 3 * kLargest + 63);
  EXPECT_EQ(zone.FreeFrames(), 0u);
  std::shuffle(taken.begin(), taken.end(), std::mt19937(5));
  for (const uint64_t pfn : taken) zone.Give(pfn, 0);
  std::map<uint64_t, uint64_t> expected{{3 * kLargest, 64}};
  for (uint32_t order = 0; order < kMaxOrder; ++order) expected[1u << order] = 1u << order;
  expected[kLargest] = kLargest;
  expected[2 * kLargest] = kLargest;
  EXPECT_EQ(zone.FreeBlocks(), expected);
}

TEST(BuddyTest, ABlockTakenAsAWholeMayBeGivenBackInParts) {
  Zone zone(64);
  const uint64_t pfn = zone.Take(4);
  EXPECT_EQ(pfn, 16u);
  zone.Give(pfn, 3);
  zone.Give(pfn + 8, 2);
  zone.Give(pfn + 12, 2);
  EXPECT_EQ(zone.FreeBlocks().at(16), 16u);
}

TEST(BuddyTest, RefusesABlockThatOnlyPartsAreLeftOf) {
  Zone zone(64);
  EXPECT_EQ(zone.Take(5), 32u);
  EXPECT_EQ(zone.Take(5), 0u);  // 31 frames are free, none of the blocks has 32
  EXPECT_EQ(zone.FreeFrames(), 31u);
}

/// Whether the block has frames in common with one of `taken`.
bool Overlaps(const std::map<uint64_t, uint32_t>& taken, uint64_t pfn, uint32_t order) {
  const auto after = taken.lower_bound(pfn);
  if (after != taken.end() && after->first < pfn + (uint64_t{1} << order)) return true;
  if (after == taken.begin()) return false;
  const auto& [before, before_order] = *std::prev(after);
  return before + (uint64_t{1} << before_order) > pfn;
}

RC_GTEST_PROP(BuddyPropertyTest, BlocksNeverOverlapAndNothingIsLost, ()) {
  const auto frames = *rc::gen::inRange<uint64_t>(16, 3 * kLargest);
  Zone zone(frames);
  std::map<uint64_t, uint32_t> taken;  // first frame to order
  uint64_t taken_frames = 0;
  const auto steps = *rc::gen::inRange(0, 200);
  for (int step = 0; step < steps; ++step) {
    if (taken.empty() || *rc::gen::arbitrary<bool>()) {
      const auto order = *rc::gen::inRange<uint32_t>(0, kMaxOrder + 1);
      const uint64_t pfn = zone.Take(order);
      if (pfn == 0) continue;
      RC_ASSERT(pfn % (1u << order) == 0 && pfn + (1u << order) <= frames);
      RC_ASSERT(!Overlaps(taken, pfn, order));
      taken[pfn] = order;
      taken_frames += uint64_t{1} << order;
    } else {
      const auto which = *rc::gen::inRange<size_t>(0, taken.size());
      const auto block = std::next(taken.begin(), static_cast<ptrdiff_t>(which));
      zone.Give(block->first, block->second);
      taken_frames -= uint64_t{1} << block->second;
      taken.erase(block);
    }
    RC_ASSERT(zone.FreeFrames() == frames - 1 - taken_frames);
    (void)zone.FreeBlocks();
  }
}

}  // namespace
}  // namespace faultline

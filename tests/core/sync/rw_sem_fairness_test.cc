// SPDX-License-Identifier: Apache-2.0
//
// Fairness of RwSem in counts, not time (B6): readers arrive all the time, so that at every moment
// somebody holds the semaphore for reading. How many reads that begin after a writer has queued are
// admitted before it? Fair: none, so the writer waits for one read hold. Unfair: as many as come.
//
// Each reader keeps its hold until another read has begun, or every other reader is seen asleep in
// the queue. So the holds overlap without a gap, and no step depends on time.

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/sync/sync.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

class OverlappingReaders {
 public:
  OverlappingReaders(RwSem<LockRank::kTestOuter>& sem, uint64_t limit) : sem_(sem), limit_(limit) {}

  /// Reads until the writer has been in, or `limit` reads have been admitted.
  void Read(size_t self) {
    while (true) {
      const ReadGuard guard(sem_);
      if (writer_was_in) return;
      const uint64_t mine = ++admitted;
      if (mine >= limit_) return;
      int looks = 0;  // looking at the others costs much more than looking at the count
      SpinUntil([&] { return admitted > mine || (++looks % 64 == 0 && OthersAreParked(self)); });
    }
  }

  std::vector<std::unique_ptr<TestThread>> readers;
  std::atomic<bool> all_started{false};
  std::atomic<uint64_t> admitted{0};
  bool writer_was_in = false;  // written under the write hold

 private:
  [[nodiscard]] bool OthersAreParked(size_t self) const {
    if (!all_started) return false;
    for (size_t i = 0; i < readers.size(); ++i) {
      if (i != self && !readers[i]->IsParked()) return false;
    }
    return true;
  }

  RwSem<LockRank::kTestOuter>& sem_;
  const uint64_t limit_;
};

/// How many of the reads that begin after a writer has queued are admitted before it; at most
/// `limit`.
uint64_t ReadsThatPassAWaitingWriter(const RwSemPolicy& policy, int readers, uint64_t limit) {
  RwSem<LockRank::kTestOuter> sem(policy);
  OverlappingReaders arrivals(sem, limit);
  auto first_read = std::make_unique<ReadHolder<RwSem<LockRank::kTestOuter>>>(sem);
  TestThread writer([&] {
    const WriteGuard guard(sem);
    arrivals.writer_was_in = true;
  });
  writer.AwaitParked();
  for (size_t i = 0; i < static_cast<size_t>(readers); ++i) {
    arrivals.readers.push_back(std::make_unique<TestThread>([&arrivals, i] {
      SpinUntil([&] { return arrivals.all_started.load(); });
      arrivals.Read(i);
    }));
  }
  arrivals.all_started = true;
  // The hold that the writer found ends once the readers have come: each has got in or sleeps.
  SpinUntil([&] {
    if (arrivals.admitted > 0) return true;
    for (const auto& reader : arrivals.readers) {
      if (!reader->IsParked()) return false;
    }
    return true;
  });
  first_read.reset();
  for (const auto& reader : arrivals.readers) reader->Join();
  writer.Join();
  return arrivals.admitted;
}

class FairnessTest : public ::testing::TestWithParam<RwSemPolicy> {};

INSTANTIATE_TEST_SUITE_P(
    Policies, FairnessTest,
    ::testing::Values(RwSemPolicy{.fair = true, .handoff = true, .spin = {200}},
                      RwSemPolicy{.fair = true, .handoff = true, .spin = {0}},
                      RwSemPolicy{.fair = true, .handoff = false, .spin = {200}},
                      RwSemPolicy{.fair = true, .handoff = false, .spin = {0}}),
    [](const auto& policy) {
      return std::string(policy.param.handoff ? "Handoff" : "Wake") +
             std::to_string(policy.param.spin.iterations);
    });

TEST_P(FairnessTest, WriterWaitsForOneReadHoldThoughReadersComeAllTheTime) {
  for (int round = 0; round < 20; ++round) {
    EXPECT_EQ(ReadsThatPassAWaitingWriter(GetParam(), /*readers=*/3, /*limit=*/10'000), 0u);
  }
}

TEST_P(FairnessTest, WithFairnessOffTheSameWriterStarves) {
  RwSemPolicy unfair = GetParam();
  unfair.fair = false;
  const uint64_t passed = ReadsThatPassAWaitingWriter(unfair, /*readers=*/2, /*limit=*/10'000);
  std::printf("%llu reads passed the waiting writer\n", static_cast<unsigned long long>(passed));
  EXPECT_GE(passed, 10'000u);
}

}  // namespace
}  // namespace faultline

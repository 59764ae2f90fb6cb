// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/base/wait_sink.h and tick.h: the interfaces can be implemented from outside.

#include "core/base/wait_sink.h"

#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/tick.h"

namespace faultline {
namespace {

static_assert(std::is_trivially_copyable_v<WaitRecord>);
static_assert(sizeof(WaitRecord) <= kCacheLine);

class RecordingSink : public WaitSink {
 public:
  void OnWait(const WaitRecord& record) noexcept override { records.push_back(record); }
  std::vector<WaitRecord> records;
};

class StepClock : public TickSource {
 public:
  Ticks Now() noexcept override { return now_ += 10; }

 private:
  Ticks now_;
};

TEST(WaitSinkTest, DeliversWhatTheWaiterMeasured) {
  RecordingSink sink;
  StepClock clock;
  const Ticks begin = clock.Now();
  static_cast<WaitSink&>(sink).OnWait({.kind = WaitKind::kLock,
                                       .mode = WaitMode::kShared,
                                       .rank = 3,
                                       .killed = true,
                                       .waiter = TaskId(1),
                                       .holder = TaskId(2),
                                       .waited = Ticks(clock.Now() - begin)});
  ASSERT_EQ(sink.records.size(), 1U);
  EXPECT_EQ(sink.records[0].waited, Ticks(10));
  EXPECT_EQ(sink.records[0].holder, TaskId(2));
  EXPECT_TRUE(sink.records[0].killed);
}

TEST(WaitRecordTest, HolderIsUnknownByDefault) { EXPECT_EQ(WaitRecord().holder, TaskId(0)); }

}  // namespace
}  // namespace faultline

// SPDX-License-Identifier: Apache-2.0
//
// Tests of client/measure/latency_recorder.h: from where each histogram counts, what is skipped,
// and clocks that are a little back.
#include "client/measure/latency_recorder.h"

#include <cstdint>

#include <gtest/gtest.h>

namespace faultline::client {
namespace {

TEST(LatencyRecorderTest, LatencyCountsFromTheIntendedStartAndServiceFromTheRealOne) {
  LatencyRecorder recorder;
  recorder.RecordPaced({.intended = 100, .started = 150, .ended = 180});
  EXPECT_EQ(recorder.latency().max(), 80U);
  EXPECT_EQ(recorder.service_time().max(), 30U);
  EXPECT_EQ(recorder.lag().max(), 50U);
}

TEST(LatencyRecorderTest, AClosedLoopHasNoLag) {
  LatencyRecorder recorder;
  recorder.RecordUnpaced(150, 180);
  EXPECT_EQ(recorder.latency(), recorder.service_time());
  EXPECT_EQ(recorder.latency().max(), 30U);
  EXPECT_EQ(recorder.lag().max(), 0U);
  EXPECT_EQ(recorder.lag().count(), 1U);
}

TEST(LatencyRecorderTest, AnEarlyStartHasNoLagAndItsWholeServiceTimeAsLatency) {
  LatencyRecorder recorder;
  recorder.RecordPaced({.intended = 200, .started = 150, .ended = 180});
  EXPECT_EQ(recorder.latency().max(), 30U);
  EXPECT_EQ(recorder.lag().max(), 0U);
}

TEST(LatencyRecorderTest, AClockThatIsBackCountsAsNoTime) {
  LatencyRecorder recorder;
  recorder.RecordUnpaced(150, 149);
  EXPECT_EQ(recorder.latency().max(), 0U);
  EXPECT_EQ(recorder.latency().count(), 1U);
}

TEST(LatencyRecorderTest, SkipsWhatIsFurtherBehindThanTheBound) {
  LatencyRecorder recorder(1000);
  EXPECT_TRUE(recorder.Admit(5000, 4000));
  EXPECT_TRUE(recorder.Admit(5000, 6000));
  EXPECT_EQ(recorder.skipped(), 0U);
  EXPECT_FALSE(recorder.Admit(5000, 6001));
  EXPECT_EQ(recorder.skipped(), 1U);
  EXPECT_EQ(recorder.latency().count(), 0U);
}

TEST(LatencyRecorderTest, MergesAllThatItHolds) {
  LatencyRecorder merged(1);
  LatencyRecorder other(1);
  merged.RecordPaced({.intended = 0, .started = 10, .ended = 30});
  other.RecordPaced({.intended = 0, .started = 100, .ended = 300});
  EXPECT_FALSE(merged.Admit(0, 2));
  EXPECT_FALSE(other.Admit(0, 2));
  merged.Merge(other);
  EXPECT_EQ(merged.latency().max(), 300U);
  EXPECT_EQ(merged.service_time().max(), 200U);
  EXPECT_EQ(merged.lag().max(), 100U);
  EXPECT_EQ(merged.latency().count(), 2U);
  EXPECT_EQ(merged.skipped(), 2U);
}

}  // namespace
}  // namespace faultline::client

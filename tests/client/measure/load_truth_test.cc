// SPDX-License-Identifier: Apache-2.0
//
// Whether a load tells the truth: Pacer and LatencyRecorder in front of a stub server of which
// everything is known beforehand.
//
// Time is simulated: the driver is the loop of a load's thread, with a number for a clock. The stub
// takes service times from a given distribution, each of its quantiles once and in random order, so
// that exact percentiles are known without sampling error. Once it stalls for a second: what it
// has got, and what it gets during the stall, goes on when the stall is over. The exact latencies
// of an open loop are computed by the recursion of a queue with one server, in a list that is
// sorted.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "client/measure/histogram.h"
#include "client/measure/latency_recorder.h"
#include "faultline/v1/workload.pb.h"
#include "proto/workload/pacer.h"
#include "proto/workload/random.h"

namespace faultline::client {
namespace {

constexpr uint64_t kMicrosecond = 1000;
constexpr uint64_t kMillisecond = 1000 * kMicrosecond;
constexpr uint64_t kSecond = 1000 * kMillisecond;
constexpr std::size_t kOperations = 100'000;
/// One operation a millisecond, of which the server is busy for a fifth or so.
constexpr uint64_t kInterval = kMillisecond;
constexpr uint64_t kStallAt = 40 * kSecond;
/// For a closed loop, which is through earlier.
constexpr uint64_t kEarlyStallAt = 5 * kSecond;

/// Service time in nanoseconds by quantile.
using Distribution = double (*)(double);

double Exponential(double quantile) { return -200e3 * std::log(1 - quantile); }
double Bimodal(double quantile) {
  return quantile < 0.97 ? 100e3 + 20e3 * quantile : 2e6 + 10e6 * (quantile - 0.97);
}
double Constant(double) { return 200e3; }

std::vector<uint64_t> ServiceTimes(const Distribution distribution) {
  workload::Random random(17);
  const workload::Permutation order(kOperations, random);
  std::vector<uint64_t> times;
  for (std::size_t i = 0; i < kOperations; ++i) {
    const double quantile = (static_cast<double>(order.At(i)) + 0.5) / kOperations;
    times.push_back(static_cast<uint64_t>(distribution(quantile)));
  }
  return times;
}

class StubServer {
 public:
  explicit StubServer(std::vector<uint64_t> service_times, uint64_t stall_at)
      : service_times_(std::move(service_times)), stall_at_(stall_at) {}

  /// When the operation ends that is started then; they come one after the other.
  uint64_t Call(uint64_t started) {
    const uint64_t needed = service_times_[next_++];
    if (started >= stall_at_ + kSecond || started + needed <= stall_at_) return started + needed;
    const uint64_t done_before = started < stall_at_ ? stall_at_ - started : 0;
    return stall_at_ + kSecond + needed - done_before;
  }

 private:
  std::vector<uint64_t> service_times_;
  uint64_t stall_at_;
  std::size_t next_ = 0;
};

v1::Pace PaceOf(bool poisson) {
  v1::Pace pace;
  pace.set_interval_ns(kInterval);
  pace.set_poisson(poisson);
  return pace;
}

workload::Pacer PacerOf(const v1::Pace& pace) { return {pace, 3, 0, 0}; }

void DriveOpen(StubServer server, const v1::Pace& pace, LatencyRecorder& recorder) {
  workload::Pacer pacer = PacerOf(pace);
  uint64_t now = 0;
  for (std::size_t i = 0; i < kOperations; ++i) {
    const uint64_t intended = pacer.NextStart();
    now = std::max(now, intended);  // the wait
    if (!recorder.Admit(intended, now)) continue;
    const uint64_t started = now;
    now = server.Call(started);
    recorder.RecordPaced({.intended = intended, .started = started, .ended = now});
  }
}

void DriveClosed(StubServer server, LatencyRecorder& recorder) {
  uint64_t now = 0;
  for (std::size_t i = 0; i < kOperations; ++i) {
    const uint64_t started = now;
    now = server.Call(started);
    recorder.RecordUnpaced(started, now);
  }
}

/// Sorted. An operation is done when the one before is and the server has worked long enough on it,
/// which it does not between 40 s and 41 s.
std::vector<double> ExactLatencies(const std::vector<uint64_t>& service_times,
                                   const v1::Pace& pace) {
  // In the server's own time, in which there is no stall.
  constexpr auto kStalled = static_cast<double>(kSecond);
  const auto worked = [](double at) {
    return at <= kStallAt ? at : std::max(static_cast<double>(kStallAt), at - kStalled);
  };
  const auto clock = [](double work) { return work <= kStallAt ? work : work + kStalled; };
  workload::Pacer pacer = PacerOf(pace);
  std::vector<double> latencies;
  double done = 0;
  for (const uint64_t service_time : service_times) {
    const auto intended = static_cast<double>(pacer.NextStart());
    done = std::max(done, worked(intended)) + static_cast<double>(service_time);
    latencies.push_back(clock(done) - intended);
  }
  std::sort(latencies.begin(), latencies.end());
  return latencies;
}

/// All percentiles in steps of a tenth, and the far ones.
void ExpectPercentiles(const Histogram& histogram, const std::vector<double>& sorted) {
  ASSERT_EQ(histogram.count(), sorted.size());
  std::vector<double> percents{99.95, 99.99, 100};
  for (int tenths = 1; tenths < 1000; ++tenths) percents.push_back(tenths / 10.0);
  for (const double percent : percents) {
    const double rank = percent / 100 * static_cast<double>(sorted.size());
    const double exact = sorted[static_cast<std::size_t>(std::llround(rank)) - 1];
    const auto told = static_cast<double>(histogram.Percentile(percent));
    ASSERT_NEAR(told, exact, 0.01 * exact) << "percentile " << percent;
  }
}

void ExpectTruth(const Distribution distribution, bool poisson) {
  const std::vector<uint64_t> service_times = ServiceTimes(distribution);
  const v1::Pace pace = PaceOf(poisson);
  LatencyRecorder recorder;
  DriveOpen(StubServer(service_times, kStallAt), pace, recorder);
  EXPECT_EQ(recorder.skipped(), 0U);
  ExpectPercentiles(recorder.latency(), ExactLatencies(service_times, pace));
}

TEST(LoadTruthTest, PercentilesOfAConstantRateAreExactToOnePercent) {
  for (const Distribution distribution : {Exponential, Bimodal, Constant})
    ExpectTruth(distribution, false);
}

TEST(LoadTruthTest, PercentilesOfAPoissonLoadAreExactToOnePercent) {
  for (const Distribution distribution : {Exponential, Bimodal, Constant})
    ExpectTruth(distribution, true);
}

TEST(LoadTruthTest, AClosedLoopTellsTheDistributionThatWasProgrammed) {
  for (const Distribution distribution : {Exponential, Bimodal}) {
    LatencyRecorder recorder;
    DriveClosed(StubServer(ServiceTimes(distribution), kEarlyStallAt), recorder);
    for (const double percent : {1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 99.99}) {
      const double exact = distribution(percent / 100);
      EXPECT_NEAR(static_cast<double>(recorder.latency().Percentile(percent)), exact, 0.01 * exact)
          << percent;
    }
  }
}

TEST(LoadTruthTest, TheClosedLoopHidesAStallThatTheOpenLoopShows) {
  LatencyRecorder closed;
  LatencyRecorder open;
  DriveClosed(StubServer(ServiceTimes(Constant), kEarlyStallAt), closed);
  DriveOpen(StubServer(ServiceTimes(Constant), kStallAt), PaceOf(false), open);

  // The stall is one operation of all.
  EXPECT_EQ(closed.latency().Percentile(99.99), 200'063U);  // the bucket that holds 200 us
  EXPECT_GE(closed.latency().max(), kSecond);

  // A second of operations waits for it, and then for each other: the k-th of them takes 1 s
  // less 0.8 ms for each before, and after 1250 it is over. So 99.5 percent is the 500th.
  EXPECT_NEAR(static_cast<double>(open.latency().Percentile(99.5)), 0.6e9, 0.01 * 0.6e9);
  EXPECT_NEAR(static_cast<double>(open.latency().Percentile(99.9)), 0.92e9, 0.01 * 0.92e9);
  EXPECT_EQ(open.latency().Percentile(98.7), 200'063U);
  // Beside it, its service times hide it as well, and the lag says who is behind.
  EXPECT_EQ(open.service_time().Percentile(99.99), 200'063U);
  EXPECT_GT(open.lag().Percentile(99.5), 500 * kMillisecond);
}

TEST(LoadTruthTest, AGeneratorTooFarBehindSkipsAndSaysSo) {
  LatencyRecorder recorder(100 * kMillisecond);
  DriveOpen(StubServer(ServiceTimes(Constant), kStallAt), PaceOf(false), recorder);
  // Those meant for the first 900 ms of the stall, but for the one that is in the server.
  EXPECT_NEAR(static_cast<double>(recorder.skipped()), 900, 2);
  EXPECT_EQ(recorder.latency().count() + recorder.skipped(), kOperations);
  EXPECT_LE(recorder.lag().max(), 100 * kMillisecond);
}

}  // namespace
}  // namespace faultline::client

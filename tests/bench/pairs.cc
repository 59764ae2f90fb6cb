// SPDX-License-Identifier: Apache-2.0
//
// Implementation of pairs.h.
#include "tests/bench/pairs.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <barrier>
#include <ctime>
#include <fstream>
#include <thread>

namespace faultline::bench {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// CPU seconds that the machine has spent on anything, stolen time included.
double MachineBusySeconds() {
  std::ifstream stat("/proc/stat");
  std::string label;
  stat >> label;  // "cpu", the sum of all
  double busy = 0;
  for (int field = 0; field < 8; ++field) {
    double ticks = 0;
    stat >> ticks;
    const bool idle = field == 3 || field == 4;  // idle and iowait
    if (!idle) busy += ticks;
  }
  return busy / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double OwnCpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Window {
  double ns_per_op;
  double foreign_cores;
};

Window RunWindow(const Subject& subject, int threads, double seconds) {
  std::atomic<bool> stop{false};
  std::vector<uint64_t> counts(static_cast<size_t>(threads));
  std::barrier ready(threads + 1);
  std::vector<std::thread> workers;
  workers.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) {
    workers.emplace_back([&, i] {
      PinToCpu(i);
      ready.arrive_and_wait();
      counts[static_cast<size_t>(i)] = subject.body(i, stop);
    });
  }
  ready.arrive_and_wait();
  const ForeignMeter meter;
  const Clock::time_point start = Clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop.store(true, std::memory_order_relaxed);  // relaxed: join orders the counts
  const double elapsed = SecondsSince(start);
  const double foreign_cores = meter.Cores();
  for (std::thread& worker : workers) worker.join();
  uint64_t operations = 0;
  for (const uint64_t count : counts) operations += count;
  return {.ns_per_op = 1e9 * elapsed * threads / static_cast<double>(std::max(operations, 1ul)),
          .foreign_cores = foreign_cores};
}

/// A window that others left alone, or the last of the attempts.
double CleanWindow(const Subject& subject, int threads, const PairOptions& options,
                   PairResult& result) {
  for (int attempt = 1;; ++attempt) {
    const Window window = RunWindow(subject, threads, options.window_seconds);
    const bool dirty = window.foreign_cores > options.foreign_cores;
    if (dirty && attempt < options.attempts) {
      ++result.redone;
      continue;
    }
    ++result.windows;
    if (dirty) ++result.dirty;
    return window.ns_per_op;
  }
}

}  // namespace

void PinToCpu(int index) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(static_cast<unsigned>(index) % std::max(1u, std::thread::hardware_concurrency()), &cpus);
  pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
}

Spread SpreadOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {.median = median, .min = values.front(), .max = values.back()};
}

ForeignMeter::ForeignMeter()
    : start_(Clock::now()), busy_before_(MachineBusySeconds() - OwnCpuSeconds()) {}

double ForeignMeter::Cores() const {
  return (MachineBusySeconds() - OwnCpuSeconds() - busy_before_) / SecondsSince(start_);
}

PairResult RunPairs(const Subject& subject, const Subject& peer, int threads,
                    const PairOptions& options) {
  PairResult result;
  std::vector<double> subject_ns;
  std::vector<double> peer_ns;
  std::vector<double> ratios;
  for (int pair = 0; pair < options.pairs; ++pair) {
    const bool subject_first = pair % 2 == 0;
    const double first = CleanWindow(subject_first ? subject : peer, threads, options, result);
    const double second = CleanWindow(subject_first ? peer : subject, threads, options, result);
    subject_ns.push_back(subject_first ? first : second);
    peer_ns.push_back(subject_first ? second : first);
    ratios.push_back(subject_ns.back() / peer_ns.back());
  }
  result.subject_ns = SpreadOf(std::move(subject_ns));
  result.peer_ns = SpreadOf(std::move(peer_ns));
  result.ratio = SpreadOf(std::move(ratios));
  return result;
}

}  // namespace faultline::bench

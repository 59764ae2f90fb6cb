// SPDX-License-Identifier: Apache-2.0
//
// Collecting and serializing, and the metrics of the process; see metrics.h.
#include "server/metrics.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>
#include <utility>

#include <prometheus/client_metric.h>
#include <prometheus/metric_type.h>
#include <prometheus/text_serializer.h>

namespace faultline::server {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

/// The numbers of /proc/self/stat that are of interest, by their place in proc(5).
struct ProcStat {
  double user_ticks = 0;    // 14
  double system_ticks = 0;  // 15
  double threads = 0;       // 20
  double start_ticks = 0;   // 22, after boot
  double virtual_bytes = 0;
  double resident_pages = 0;
};

ProcStat ReadStat() {
  std::ifstream file("/proc/self/stat");
  std::string text{std::istreambuf_iterator<char>(file), {}};
  // The name before the parenthesis may hold anything, blanks included.
  text.erase(0, text.rfind(')') + 1);
  std::istringstream fields(text);
  std::string state;
  fields >> state;  // 3
  std::vector<double> numbers;
  for (double number = 0; fields >> number;) numbers.push_back(number);
  const auto at = [&numbers](size_t place) {
    return place - 4 < numbers.size() ? numbers[place - 4] : 0;
  };
  return {.user_ticks = at(14),
          .system_ticks = at(15),
          .threads = at(20),
          .start_ticks = at(22),
          .virtual_bytes = at(23),
          .resident_pages = at(24)};
}

/// When the host started, in seconds of the wall clock.
double BootTime() {
  std::ifstream file("/proc/stat");
  for (std::string word; file >> word;) {
    double value = 0;
    if (word == "btime" && file >> value) return value;
  }
  return 0;
}

double OpenDescriptors() {
  std::error_code error;
  const std::filesystem::directory_iterator all("/proc/self/fd", error);
  return error ? 0 : static_cast<double>(std::distance(begin(all), end(all)));
}

class ProcessMetrics : public prometheus::Collectable {
 public:
  [[nodiscard]] std::vector<MetricFamily> Collect() const override {
    const ProcStat stat = ReadStat();
    return {
        CounterFamily("process_cpu_seconds_total", "CPU time of all threads, user and system",
                      (stat.user_ticks + stat.system_ticks) / ticks_per_second_),
        GaugeFamily("process_start_time_seconds", "When it started, by the wall clock",
                    boot_time_ + stat.start_ticks / ticks_per_second_),
        GaugeFamily("process_resident_memory_bytes", "Memory of the host that it has",
                    stat.resident_pages * page_bytes_),
        GaugeFamily("process_virtual_memory_bytes", "Address space; most of it is not backed",
                    stat.virtual_bytes),
        GaugeFamily("process_open_fds", "Open descriptors", OpenDescriptors()),
        GaugeFamily("process_threads", "Threads of the host", stat.threads),
    };
  }

 private:
  const double ticks_per_second_ = static_cast<double>(sysconf(_SC_CLK_TCK));
  const double page_bytes_ = static_cast<double>(sysconf(_SC_PAGESIZE));
  const double boot_time_ = BootTime();
};

}  // namespace

void Metrics::Add(std::weak_ptr<prometheus::Collectable> part) {
  const absl::MutexLock lock(&mutex_);
  parts_.push_back(std::move(part));
}

std::string Metrics::Text() const {
  std::vector<std::shared_ptr<prometheus::Collectable>> parts;
  {
    const absl::MutexLock lock(&mutex_);
    for (const auto& part : parts_) {
      if (auto alive = part.lock()) parts.push_back(std::move(alive));
    }
  }
  std::vector<MetricFamily> families;
  for (const auto& part : parts) {
    std::vector<MetricFamily> some = part->Collect();
    std::move(some.begin(), some.end(), std::back_inserter(families));
  }
  return prometheus::TextSerializer().Serialize(families);
}

MetricFamily CounterFamily(std::string name, std::string help, double value) {
  ClientMetric metric;
  metric.counter.value = value;
  return {std::move(name), std::move(help), MetricType::Counter, {std::move(metric)}};
}

MetricFamily GaugeFamily(std::string name, std::string help, double value) {
  ClientMetric metric;
  metric.gauge.value = value;
  return {std::move(name), std::move(help), MetricType::Gauge, {std::move(metric)}};
}

std::shared_ptr<prometheus::Collectable> MakeProcessMetrics() {
  return std::make_shared<ProcessMetrics>();
}

}  // namespace faultline::server

// SPDX-License-Identifier: Apache-2.0
//
// What /metrics shows. Each part of the server counts for itself, as cheaply as it must, and is
// asked when somebody looks: it implements prometheus::Collectable and is added here.
//
// Names follow Prometheus: faultline_ first, base units (seconds, bytes), counters end in _total.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

namespace faultline::server {

/// May be used by any thread at any time.
class Metrics {
 public:
  /// Asks `part` from now on, as long as it lives. Parts do not ask for one another.
  void Add(std::weak_ptr<prometheus::Collectable> part) ABSL_LOCKS_EXCLUDED(mutex_);
  /// Everything, in Prometheus's text format.
  [[nodiscard]] std::string Text() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  std::vector<std::weak_ptr<prometheus::Collectable>> parts_ ABSL_GUARDED_BY(mutex_);
};

/// One family of one number.
[[nodiscard]] prometheus::MetricFamily CounterFamily(std::string name, std::string help,
                                                     double value);
[[nodiscard]] prometheus::MetricFamily GaugeFamily(std::string name, std::string help,
                                                   double value);

/// What the host knows about this process: CPU, memory, descriptors, threads, when it started; by
/// the names that Prometheus's own libraries give them.
[[nodiscard]] std::shared_ptr<prometheus::Collectable> MakeProcessMetrics();

}  // namespace faultline::server

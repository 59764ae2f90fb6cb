// SPDX-License-Identifier: Apache-2.0
//
// Counting of calls; see call_stats.h.
#include "server/call_stats.h"

#include "faultline/v1/lab.pb.h"
#include "faultline/v1/machine.pb.h"
#include "faultline/v1/memory.pb.h"
#include "faultline/v1/observe.pb.h"

namespace faultline::server {

CallStats::CallStats() {
  for (const google::protobuf::Descriptor* message :
       {v1::CreateMachineRequest::descriptor(), v1::FaultRequest::descriptor(),
        v1::ReadMapsRequest::descriptor(), v1::ExploreRequest::descriptor()}) {
    const google::protobuf::FileDescriptor* file = message->file();
    for (int s = 0; s < file->service_count(); ++s) {
      const google::protobuf::ServiceDescriptor* service = file->service(s);
      for (int m = 0; m < service->method_count(); ++m) {
        by_response_.emplace(service->method(m)->output_type(), methods_.size());
        methods_.push_back(
            std::make_unique<Method>(service->full_name(), service->method(m)->name()));
      }
    }
  }
}

void CallStats::Method::Count(grpc::StatusCode code, uint64_t duration_ns) {
  constexpr auto kOrder = std::memory_order_relaxed;  // each stands for itself
  const auto index = static_cast<size_t>(code);
  codes_[index < kCodes ? index : static_cast<size_t>(grpc::StatusCode::UNKNOWN)].fetch_add(1,
                                                                                            kOrder);
  buckets_[static_cast<size_t>(DurationHistogram::BucketOf(duration_ns))].fetch_add(1, kOrder);
  total_ns_.fetch_add(duration_ns, kOrder);
  uint64_t max = max_ns_.load(kOrder);
  while (duration_ns > max && !max_ns_.compare_exchange_weak(max, duration_ns, kOrder)) {
  }
}

DurationHistogram CallStats::Method::Durations() const {
  DurationHistogram durations;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    durations.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
    durations.count += durations.buckets[i];
  }
  durations.total_ns = total_ns_.load(std::memory_order_relaxed);
  durations.max_ns = max_ns_.load(std::memory_order_relaxed);
  return durations;
}

}  // namespace faultline::server

// SPDX-License-Identifier: Apache-2.0
//
// What calls came to: by method and status code, and how long they took in the server. Counted by
// whoever finishes a call; read by the metrics page.
//
// A method is known by the message that it answers with: each RPC has one of its own. Counts are
// relaxed, each stands for itself; a shared line is nothing beside the 20 us of a call.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/support/status.h>

#include "core/sync/duration_histogram.h"

namespace faultline::server {

class CallStats {
 public:
  static constexpr size_t kCodes = 17;

  class Method {
   public:
    Method(std::string service, std::string name)
        : service_(std::move(service)), name_(std::move(name)) {}
    void Count(grpc::StatusCode code, uint64_t duration_ns);

    [[nodiscard]] const std::string& service() const { return service_; }
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] uint64_t Ended(size_t code) const {
      return codes_[code].load(std::memory_order_relaxed);
    }
    [[nodiscard]] DurationHistogram Durations() const;

   private:
    const std::string service_;
    const std::string name_;
    std::array<std::atomic<uint64_t>, kCodes> codes_{};
    std::array<std::atomic<uint64_t>, DurationHistogram::kBuckets> buckets_{};
    std::atomic<uint64_t> total_ns_{0};
    std::atomic<uint64_t> max_ns_{0};
  };

  /// Knows every method of the API.
  CallStats();

  /// The method that answers with that message.
  [[nodiscard]] Method& Of(const google::protobuf::Descriptor* response) {
    return *methods_[by_response_.at(response)];
  }
  [[nodiscard]] const std::vector<std::unique_ptr<Method>>& methods() const { return methods_; }

 private:
  std::vector<std::unique_ptr<Method>> methods_;
  absl::flat_hash_map<const google::protobuf::Descriptor*, size_t> by_response_;
};

}  // namespace faultline::server

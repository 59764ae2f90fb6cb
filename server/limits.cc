// SPDX-License-Identifier: Apache-2.0
//
// The table of limits: names, ranges and help, and what of them contradicts what. The upper ends of
// the ranges are not advice; they are where something else would break: a type of the API (32 bits,
// where machine.proto says so), what core can address, or the host's usual number of descriptors.
//
// A test compares the table with the struct and with Limits of machine.proto.
#include "server/limits.h"

#include <array>
#include <bit>
#include <limits>

#include <absl/strings/str_cat.h>

namespace faultline::server {
namespace {

constexpr uint64_t kKib = Limits::kKib;
constexpr uint64_t kMib = Limits::kMib;
constexpr uint64_t kGib = Limits::kGib;
constexpr uint64_t kDay = 86'400;
constexpr uint64_t kLeastMachine = 64 * kKib;  // MachineOptions::memory_bytes
// Of the 8192 tasks that core can number, some are the server's own and those of workloads.
constexpr uint64_t kMostThreads = 6000;

constexpr std::array kLimits = {
    LimitInfo{"max_machines", &Limits::max_machines, 1, 4096, "Machines at once"},
    LimitInfo{"max_machine_memory_bytes", &Limits::max_machine_memory_bytes, kLeastMachine,
              16'384 * kGib, "Simulated memory of one machine, in bytes"},
    LimitInfo{"max_memory_bytes", &Limits::max_memory_bytes, kLeastMachine, 65'536 * kGib,
              "Simulated memory of all machines, in bytes"},
    LimitInfo{"max_cpus", &Limits::max_cpus, 1, 256, "Simulated CPUs of a machine"},
    LimitInfo{"max_mms", &Limits::max_mms, 1, 1'000'000, "Mms of a machine at once"},
    LimitInfo{"max_files", &Limits::max_files, 1, 1'000'000, "Files of a machine at once"},
    LimitInfo{"max_map_count", &Limits::max_map_count, 1, std::numeric_limits<int32_t>::max(),
              "VMAs of an mm"},
    LimitInfo{"max_threads", &Limits::max_threads, 1, kMostThreads,
              "Attached threads at once, of all machines"},
    LimitInfo{"max_message_bytes", &Limits::max_message_bytes, 64 * kKib, kGib,
              "A message in either direction, in bytes"},
    LimitInfo{"max_batch_operations", &Limits::max_batch_operations, 1, 1 << 20,
              "Operations in a batch"},
    LimitInfo{"max_batches_in_flight", &Limits::max_batches_in_flight, 1, 1024,
              "Batches of a stream that are taken in and not yet answered"},
    LimitInfo{"max_page_size", &Limits::max_page_size, 1, 100'000, "Elements in a page of a list"},
    LimitInfo{"max_event_ring", &Limits::max_event_ring, 1, 1 << 24,
              "Faults that are kept for a thread; a power of two"},
    LimitInfo{"max_lab_runs", &Limits::max_lab_runs, 1, 1024,
              "Workloads and searches under way at once"},
    LimitInfo{"quota_memory_bytes", &Limits::quota_memory_bytes, kMib, 1024 * kGib,
              "What gRPC may buffer for all connections, in bytes"},
    LimitInfo{"quota_threads", &Limits::quota_threads, 8, 10'000,
              "Threads that gRPC may start for itself"},
    LimitInfo{"max_concurrent_streams", &Limits::max_concurrent_streams, 1, 1'000'000,
              "Calls at once of one connection"},
    LimitInfo{"max_metadata_bytes", &Limits::max_metadata_bytes, kKib, kMib,
              "Metadata of a call, in bytes"},
    LimitInfo{"handshake_seconds", &Limits::handshake_seconds, 1, kDay,
              "Seconds in which a new connection must be set up"},
    LimitInfo{"idle_seconds", &Limits::idle_seconds, 1, kDay,
              "Seconds after which a connection without calls is closed"},
    LimitInfo{"keepalive_seconds", &Limits::keepalive_seconds, 1, kDay,
              "Seconds of silence after which a client is asked whether it is there"},
    LimitInfo{"keepalive_timeout_seconds", &Limits::keepalive_timeout_seconds, 1, kDay,
              "Seconds that it has for an answer"},
    LimitInfo{"min_ping_interval_seconds", &Limits::min_ping_interval_seconds, 1, kDay,
              "Seconds between two pings of a client, at least"},
    LimitInfo{"unary_workers", &Limits::unary_workers, 1, 512,
              "Threads for unary calls that may sleep"},
    LimitInfo{"unary_queue", &Limits::unary_queue, 1, 1'000'000,
              "Such calls that wait for a thread"},
    LimitInfo{"http_threads", &Limits::http_threads, 1, 64, "Threads of the port for metrics"},
    LimitInfo{"http_timeout_seconds", &Limits::http_timeout_seconds, 1, 3600,
              "Seconds for a request to the port for metrics"},
    LimitInfo{"log_queue_lines", &Limits::log_queue_lines, 16, 1'000'000,
              "Log lines that wait to be written; more are dropped and counted"},
};
static_assert(sizeof(Limits) == kLimits.size() * sizeof(uint64_t), "a limit is not in the table");

// OperationResults (attach.proto) with every column, and all numbers as long as they get: an
// outcome takes 3 bytes (65536), a value, a latency and the rungs 10 each. Around them are tags,
// lengths, the batch's mark, its times and the instance.
constexpr uint64_t kMostResultBytes = 3 + 10 + 10 + 10;
constexpr uint64_t kAroundResults = 128;

}  // namespace

std::span<const LimitInfo> AllLimits() { return kLimits; }

std::string WhyRefused(const Limits& limits) {
  for (const LimitInfo& limit : kLimits) {
    const uint64_t value = limits.*limit.value;
    if (limit.min <= value && value <= limit.max) continue;
    return absl::StrCat(limit.name, ": ", value, " is not allowed, only whole numbers from ",
                        limit.min, " to ", limit.max);
  }
  if (!std::has_single_bit(limits.max_event_ring)) {
    return absl::StrCat("max_event_ring: ", limits.max_event_ring,
                        " is not allowed, only powers of two");
  }
  if (limits.max_machine_memory_bytes > limits.max_memory_bytes) {
    return absl::StrCat("max_machine_memory_bytes: ", limits.max_machine_memory_bytes,
                        " is not allowed, at most max_memory_bytes, which is ",
                        limits.max_memory_bytes);
  }
  if (limits.max_message_bytes > limits.quota_memory_bytes) {
    return absl::StrCat("max_message_bytes: ", limits.max_message_bytes,
                        " is not allowed, at most quota_memory_bytes, which is ",
                        limits.quota_memory_bytes);
  }
  // Else a batch would be carried out whose results cannot be sent.
  const uint64_t most_operations = (limits.max_message_bytes - kAroundResults) / kMostResultBytes;
  if (limits.max_batch_operations > most_operations) {
    return absl::StrCat("max_batch_operations: ", limits.max_batch_operations,
                        " is not allowed, only whole numbers from 1 to ", most_operations,
                        ", since results of ", kMostResultBytes,
                        " bytes each have to fit into max_message_bytes, which is ",
                        limits.max_message_bytes);
  }
  return {};
}

}  // namespace faultline::server

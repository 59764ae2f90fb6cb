// SPDX-License-Identifier: Apache-2.0
//
// Every limit of the server: what the API promises (Limits in machine.proto), what the transport is
// given, and how large the server's own queues and pools are. Nothing else has a number of its own
// for how much there may be of something; what a scheme or a tunable may be is core's business.
//
// Each limit is a flag of faultlined. Its default is in the struct with the reason; its range, unit
// and help text are in the table of limits.cc, from which config and --help are made.
//
// Invariant: a server runs with limits that are within their ranges and do not contradict each
// other (WhyRefused). They never change while it runs. No limit is 0, so none is without bound.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace faultline::server {

/// All are whole numbers, of the unit that the name or the comment says.
struct Limits {
  // -- What clients see: Limits in machine.proto, names and all ----------------------------------

  /// A machine that is not used costs address space and a few pages. 64 leaves room for one per
  /// test of a client's test suite.
  uint64_t max_machines = 64;
  /// 4 Mi frames, whose metadata is 256 MiB of the host when all are used, and 16 GiB more if the
  /// machine keeps bytes: a large host's worth, and a small host refuses it with HOST_MEMORY.
  uint64_t max_machine_memory_bytes = 16 * kGib;
  /// Four of the largest: simulated memory is reserved, and backed by the host only when used.
  uint64_t max_memory_bytes = 64 * kGib;
  /// An mm remembers in one word of 64 bits on which CPUs it ran; above, CPUs share a bit.
  uint64_t max_cpus = 64;
  /// More processes than a recording of one program has by far. An idle one costs some KiB.
  uint64_t max_mms = 1024;
  /// Recordings of large programs map some hundred files. Each path may take 4 KiB.
  uint64_t max_files = 4096;
  /// What programs that need more than Linux's 65530 are told to set vm.max_map_count to.
  uint64_t max_map_count = 262'144;
  /// Twice the thousand streams at once that the server is tested with. Each is a thread of the
  /// host.
  uint64_t max_threads = 2048;
  /// What gRPC clients accept unless they are told otherwise, so no reply is lost on them. Holds
  /// a page of the longest lists.
  uint64_t max_message_bytes = 4 * kMib;
  /// Beyond 4096 operations a batch is hardly cheaper per operation, only longer. With every column
  /// full and every number long, this many take about 1 MiB; results fit into max_message_bytes.
  uint64_t max_batch_operations = 16'384;
  /// With four on the way client, transport and executor were all busy; more only wait.
  uint64_t max_batches_in_flight = 4;
  /// A page of files whose paths are all 4095 bytes long still is a message.
  uint64_t max_page_size = 1000;
  /// 5 MiB of events for a thread. A power of two, as the ring wants it.
  uint64_t max_event_ring = 65'536;
  /// Each starts threads that keep the host's cores busy: more would measure one another.
  uint64_t max_lab_runs = 4;

  // -- The transport ----------------------------------------------------------------------------

  /// gRPC's ResourceQuota: what it buffers for all connections together. A message is held back
  /// from its limit only when all of it is here, so this is what really stops a large one.
  uint64_t quota_memory_bytes = 512 * kMib;
  /// The same for threads that gRPC starts for itself; it refuses calls earlier than at this
  /// number.
  uint64_t quota_threads = 128;
  /// max_threads, so that one client with one connection may have them all. A call beyond waits in
  /// the client and is not told so, and threads may wait for each other: a low limit would hang.
  uint64_t max_concurrent_streams = 2048;
  /// Names, deadline and routing header take less than 1 KiB.
  uint64_t max_metadata_bytes = 8 * kKib;
  /// Preface and settings; gRPC's own default are two minutes, in which a half-open connection
  /// costs memory and a descriptor.
  uint64_t handshake_seconds = 10;
  /// A connection without a call is closed after this; gRPC clients open another when they need it.
  uint64_t idle_seconds = 300;
  /// How long a connection with calls may be silent before the server asks whether the client is
  /// still there: a host that vanished sends nothing.
  uint64_t keepalive_seconds = 30;
  /// How long that may take. Then its calls are cancelled and everything of it is released.
  uint64_t keepalive_timeout_seconds = 10;
  /// A client may ask no more often than this, calls or not.
  uint64_t min_ping_interval_seconds = 10;

  // -- The server's own -------------------------------------------------------------------------

  /// Threads for unary calls that may sleep. Sleeping ones need no core, so it is many: with fewer
  /// a locking scheme would be measured by its queue.
  uint64_t unary_workers = 64;
  /// Such calls that wait for a worker; one more is OVERLOADED. Four for each worker: with calls of
  /// 200 us (simulated I/O) the last one waits for about 1 ms.
  uint64_t unary_queue = 256;
  /// Threads of the port for metrics: a scraper, a probe, a browser, and one more.
  uint64_t http_threads = 4;
  /// Until a request has come and its answer has gone. Probes are impatient anyway.
  uint64_t http_timeout_seconds = 5;
  /// Lines that wait to be written. A line takes about 300 bytes.
  uint64_t log_queue_lines = 8192;

  static constexpr uint64_t kKib = 1024;
  static constexpr uint64_t kMib = 1024 * kKib;
  static constexpr uint64_t kGib = 1024 * kMib;

  bool operator==(const Limits&) const = default;
};

/// What there is to know about one limit.
struct LimitInfo {
  const char* name;          ///< as in Limits; the flag is this with hyphens
  uint64_t Limits::* value;  ///< where it is
  uint64_t min;              ///< the least that is allowed
  uint64_t max;              ///< the most
  const char* help;          ///< for --help, with the unit
};

/// Every limit, in the order of Limits.
[[nodiscard]] std::span<const LimitInfo> AllLimits();

/// Why a server does not start with these, as a sentence that names limit, value and what is
/// allowed; empty if it does.
[[nodiscard]] std::string WhyRefused(const Limits& limits);

}  // namespace faultline::server

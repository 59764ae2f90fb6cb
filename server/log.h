// SPDX-License-Identifier: Apache-2.0
//
// The server's log: lines on stderr, as text or as one JSON object each, written by a thread of its
// own. What a line is about goes into fields, so that a machine can look for them:
//
//   log.Write(LogLevel::kInfo, "machine created", {{"machine", name}, {"request", id}});
//   2026-01-31T12:34:56.789Z info machine created machine=machines/7 request=42
//
// Guarantee: whoever logs is never held up by whoever reads the lines. The queue is bounded, and
// when it is full its oldest line is dropped; how many were is counted, and said in the log as soon
// as there is room. Core does not log; nothing on the way of a fault does.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace faultline::server {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError };
enum class LogFormat : uint8_t { kText, kJson };

/// A name, in lower case with underscores, with text or a number that is not negative.
struct LogField {
  LogField(std::string_view field, std::string_view text) : name(field), value(text) {}
  template <std::integral Number>
  LogField(std::string_view field, Number number)
      : name(field), value(static_cast<uint64_t>(number)) {}

  std::string_view name;
  std::variant<std::string_view, uint64_t> value;
};

struct LogOptions {
  LogLevel level = LogLevel::kInfo;  ///< the least that is written
  LogFormat format = LogFormat::kText;
  uint64_t queue_lines = 8192;
  int descriptor = 2;  ///< not closed
};

/// May be used by any thread at any time.
class Log {
 public:
  explicit Log(const LogOptions& options);
  /// Writes what is queued.
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  [[nodiscard]] bool Enabled(LogLevel level) const;
  /// Queues a line. Text is written so that it stays one line, whatever it holds.
  void Write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

  /// Names a call in the log. Unique for this process.
  [[nodiscard]] uint64_t NextRequestId();
  /// Lines that were dropped so far.
  [[nodiscard]] uint64_t dropped() const;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
  std::atomic<uint64_t> requests_{0};
};

}  // namespace faultline::server

// SPDX-License-Identifier: Apache-2.0
//
// The log on spdlog: its queue, thread and time stamps; fields and their quoting are ours. This is
// the only file that knows spdlog.
//
// A line is put together by who logs, except for its head, and written with one write(2), so that
// lines of several processes on one terminal do not mix.
#include "server/log.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/async_logger.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

namespace faultline::server {
namespace {

spdlog::level::level_enum LevelOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

/// In quotes, on one line, and valid UTF-8 whatever was there.
std::string Quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

bool IsPlain(unsigned char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '=' && c != '\\'; }

std::string TextValue(std::string_view text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), IsPlain);
  return plain ? std::string(text) : Quoted(text);
}

/// A message for people: quoted only if it would not stay one line.
std::string TextMessage(std::string_view text) {
  const bool one_line =
      std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  return one_line ? std::string(text) : Quoted(text);
}

std::string Payload(LogFormat format, std::string_view message,
                    std::initializer_list<LogField> fields) {
  const bool json = format == LogFormat::kJson;
  std::string line = json ? Quoted(message) : TextMessage(message);
  for (const LogField& field : fields) {
    const auto* text = std::get_if<std::string_view>(&field.value);
    const std::string value = text == nullptr ? std::to_string(std::get<uint64_t>(field.value))
                              : json          ? Quoted(*text)
                                              : TextValue(*text);
    line += json ? ",\"" : " ";
    line += field.name;
    line += json ? "\":" : "=";
    line += value;
  }
  return line;
}

std::string PatternOf(LogFormat format) {
  constexpr const char* kText = "%Y-%m-%dT%H:%M:%S.%eZ %l %v";
  constexpr const char* kJson = R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":%v})";
  return format == LogFormat::kJson ? kJson : kText;
}

/// Writes lines to a descriptor, and after a line how many were dropped before it could be written.
/// Used by the one thread of the pool.
class DescriptorSink : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit DescriptorSink(const LogOptions& options)
      : descriptor_(options.descriptor), log_format_(options.format) {}

  /// Before the first line.
  void SetPool(spdlog::details::thread_pool* pool) { pool_ = pool; }

 protected:
  void sink_it_(const spdlog::details::log_msg& line) override {
    WriteLine(line);
    const uint64_t dropped = pool_->overrun_counter();
    if (dropped == reported_) return;
    const std::string payload =
        Payload(log_format_, "log lines were dropped", {{"lines", dropped - reported_}});
    reported_ = dropped;
    WriteLine(spdlog::details::log_msg(line.logger_name, spdlog::level::warn, payload));
  }
  void flush_() override {}

 private:
  void WriteLine(const spdlog::details::log_msg& line) {
    spdlog::memory_buf_t text;
    formatter_->format(line, text);
    const char* next = text.data();
    const char* const end = next + text.size();
    while (next != end) {
      const ssize_t written = write(descriptor_, next, static_cast<size_t>(end - next));
      if (written < 0 && errno != EINTR) return;  // nobody reads it, and there is no one to tell
      if (written > 0) next += written;
    }
  }

  const int descriptor_;
  const LogFormat log_format_;
  spdlog::details::thread_pool* pool_ = nullptr;
  uint64_t reported_ = 0;
};

}  // namespace

struct Log::Impl {
  LogOptions options;
  std::shared_ptr<DescriptorSink> sink;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
};

Log::Log(const LogOptions& options)
    : impl_(std::make_unique<Impl>(
          Impl{.options = options,
               .sink = std::make_shared<DescriptorSink>(options),
               .pool = std::make_shared<spdlog::details::thread_pool>(options.queue_lines, 1),
               .logger = nullptr})) {
  impl_->sink->SetPool(impl_->pool.get());
  impl_->logger = std::make_shared<spdlog::async_logger>(
      "faultlined", impl_->sink, impl_->pool, spdlog::async_overflow_policy::overrun_oldest);
  impl_->logger->set_level(LevelOf(options.level));
  impl_->logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      PatternOf(options.format), spdlog::pattern_time_type::utc));
}

Log::~Log() = default;  // the pool ends when its queue is empty

bool Log::Enabled(LogLevel level) const { return level >= impl_->options.level; }

void Log::Write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (!Enabled(level)) return;
  const std::string payload = Payload(impl_->options.format, message, fields);
  // As a view, not as a format: braces in it are text.
  impl_->logger->log(LevelOf(level), spdlog::string_view_t(payload.data(), payload.size()));
}

uint64_t Log::NextRequestId() {
  return requests_.fetch_add(1, std::memory_order_relaxed) + 1;  // a number, nothing hangs on it
}

uint64_t Log::dropped() const { return impl_->pool->overrun_counter(); }

}  // namespace faultline::server

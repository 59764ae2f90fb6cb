// SPDX-License-Identifier: Apache-2.0
//
// The lines of a text, be it a file, gzipped or not, or in memory; with numbers for messages.
//
// A text that ends without a line break was cut, and so was a gzip file without its end: both are
// told apart from a text that is whole, since tracers write whole lines.
#pragma once

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace faultline::client {

class LineReader {
 public:
  /// NOT_FOUND if it cannot be opened. Messages call it by its path.
  [[nodiscard]] static absl::StatusOr<LineReader> Open(const std::string& path);
  /// Of `text`; messages call it `name`.
  LineReader(std::string name, std::string text);

  /// The next line, without its break; valid until the next call. False at the end, and for good
  /// after an error.
  [[nodiscard]] bool Next(std::string_view& line);
  /// Its number, from 1.
  [[nodiscard]] uint64_t line() const { return line_; }

  // At the end:
  /// Whether the last line has no end, or the file none.
  [[nodiscard]] bool truncated() const { return truncated_; }
  /// DATA_LOSS: a file that cannot be read on, a line longer than any tracer writes.
  [[nodiscard]] const absl::Status& status() const { return status_; }

  /// "NAME:LINE: text", about the last line.
  [[nodiscard]] std::string About(std::string_view text) const { return About(line_, text); }
  [[nodiscard]] std::string About(uint64_t line, std::string_view text) const;

 private:
  static constexpr std::size_t kMaxLine = std::size_t{1} << 20;

  struct Close {
    void operator()(gzFile file) const { gzclose_r(file); }
  };
  /// Reads on behind what was not handed out. False at the end.
  bool Fill();

  std::string name_;
  std::unique_ptr<gzFile_s, Close> file_;
  std::string buffer_;
  std::size_t at_ = 0;
  uint64_t line_ = 0;
  bool truncated_ = false;
  absl::Status status_;
};

}  // namespace faultline::client

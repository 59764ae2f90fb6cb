// SPDX-License-Identifier: Apache-2.0
//
// zlib's gzread gives plain files as they are, so there is one way for both. The buffer holds the
// line under way and what was read behind it.
#include "client/recording/line_reader.h"

#include <zlib.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "client/recording/concat.h"

namespace faultline::client {

absl::StatusOr<LineReader> LineReader::Open(const std::string& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) return absl::NotFoundError(Concat(path, ": cannot be opened"));
  gzbuffer(file, 1U << 16);
  LineReader reader(path, {});
  reader.file_.reset(file);
  return reader;
}

LineReader::LineReader(std::string name, std::string text)
    : name_(std::move(name)), buffer_(std::move(text)) {}

bool LineReader::Next(std::string_view& line) {
  if (!status_.ok()) return false;
  std::size_t searched = at_;
  for (;;) {
    const std::size_t end = buffer_.find('\n', searched);
    if (end != std::string::npos) {
      line = std::string_view(buffer_).substr(at_, end - at_);
      at_ = end + 1;
      ++line_;
      return true;
    }
    searched = buffer_.size() - at_;  // Fill moves what is left to the front
    if (searched > kMaxLine) {
      status_ = absl::DataLossError(About(line_ + 1, "a line of more than a megabyte"));
      return false;
    }
    if (!Fill()) break;
  }
  if (!status_.ok()) return false;
  if (at_ == buffer_.size()) return false;
  // What has no end is not handed out: half a number is a wrong number.
  truncated_ = true;
  at_ = buffer_.size();
  ++line_;
  return false;
}

bool LineReader::Fill() {
  if (!file_) return false;
  buffer_.erase(0, at_);
  at_ = 0;
  std::array<char, 1U << 16> bytes;
  const int size = gzread(file_.get(), bytes.data(), bytes.size());
  int error = Z_OK;
  const char* const text = gzerror(file_.get(), &error);
  // A gzip file without its end: zlib calls it Z_BUF_ERROR, with or without bytes before it.
  if (error == Z_BUF_ERROR) {
    truncated_ = true;
  } else if (size < 0) {
    status_ = absl::DataLossError(About(line_ + 1, Concat("cannot be read: ", text)));
  }
  if (size <= 0) return false;
  buffer_.append(bytes.data(), static_cast<std::size_t>(size));
  return true;
}

std::string LineReader::About(uint64_t line, std::string_view text) const {
  return Concat(name_, ":", line, ": ", text);
}

}  // namespace faultline::client

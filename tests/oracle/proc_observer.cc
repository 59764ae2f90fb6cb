// SPDX-License-Identifier: Apache-2.0
//
// The text of maps is parsed by hand. How much of it to read is guessed from the last time: the
// kernel prints a line only if it is asked for, and each costs about half a microsecond.
#include "tests/oracle/proc_observer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include "tests/oracle/arena.h"
#include "tests/oracle/die.h"

namespace faultline::oracle {
namespace {

constexpr size_t kSlack = 256;  // three more lines than the last time
constexpr uint64_t kPresent = uint64_t{1} << 63;
constexpr uint64_t kFileOrShared = uint64_t{1} << 61;
constexpr uint64_t kGuard = uint64_t{1} << 58;

int OpenProc(int pid, const char* name) {
  const std::string path = absl::StrCat("/proc/", pid, "/", name);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) DieErrno(absl::StrCat("cannot open ", path));
  return fd;
}

const char* ParseHex(const char* at, uint64_t& value) {
  value = 0;
  for (;; ++at) {
    const char c = *at;
    if (c >= '0' && c <= '9') {
      value = value * 16 + static_cast<uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value = value * 16 + static_cast<uint64_t>(c - 'a' + 10);
    } else {
      return at;
    }
  }
}

NameKind KindOfName(std::string_view name) {
  if (name.empty()) return NameKind::kNone;
  if (name.starts_with("/dev/zero")) return NameKind::kSharedAnonymous;
  if (name.starts_with("/memfd:faultline_oracle_file")) return NameKind::kFile;
  if (name == "[heap]") return NameKind::kHeap;
  if (name == "[stack]") return NameKind::kStack;
  return NameKind::kOther;
}

/// Parses one line, which ends at `end`: "start-end perms offset device inode   name".
std::string_view ParseLine(const char* at, const char* end, MapLine& line) {
  at = ParseHex(at, line.start) + 1;
  at = ParseHex(at, line.end) + 1;
  std::copy_n(at, 4, line.perms.begin());
  at = ParseHex(at + 5, line.offset) + 1;
  for (int skipped = 0; skipped < 2 && at < end; ++at) skipped += *at == ' ' ? 1 : 0;
  while (at < end && *at == ' ') ++at;
  return {at, static_cast<size_t>(end - at)};
}

}  // namespace

ProcObserver::ProcObserver(int pid, Mode mode)
    : pid_(pid),
      mode_(mode),
      maps_fd_(OpenProc(pid, "maps")),
      pagemap_fd_(OpenProc(pid, "pagemap")) {}

ProcObserver::~ProcObserver() {
  if (maps_fd_ >= 0) close(maps_fd_);
  if (pagemap_fd_ >= 0) close(pagemap_fd_);
}

ProcObserver::ProcObserver(ProcObserver&& other) noexcept
    : pid_(other.pid_),
      mode_(other.mode_),
      maps_fd_(std::exchange(other.maps_fd_, -1)),
      pagemap_fd_(std::exchange(other.pagemap_fd_, -1)) {}

void ProcObserver::Observe(Snapshot& snapshot) {
  ReadLines(snapshot.lines);
  snapshot.pages.clear();
  if (mode_ == Mode::kArena) ReadPages(snapshot);
}

void ProcObserver::ReadLines(std::vector<MapLine>& lines) {
  lines.clear();
  const uint64_t limit = mode_ == Mode::kArena ? kZoneEnd : kTaskSize;
  const size_t size = FillText(limit);
  const char* at = text_.data();
  const char* const end = at + size;
  size_t used = 0;
  while (at < end) {
    const auto* newline =
        static_cast<const char*>(std::memchr(at, '\n', static_cast<size_t>(end - at)));
    if (newline == nullptr) break;
    MapLine line;
    const std::string_view name = ParseLine(at, newline, line);
    if (line.start >= limit) break;
    line.name = KindOfName(name);
    lines.push_back(line);
    at = newline + 1;
    used = static_cast<size_t>(at - text_.data());
  }
  text_size_ = used;
}

/// Reads the text until it has a whole line that starts at `end` or behind, or all of it.
size_t ProcObserver::FillText(uint64_t end) {
  size_t size = 0;
  size_t ask = text_size_ + kSlack;
  while (true) {
    if (text_.size() < size + ask) text_.resize(size + ask);
    const ssize_t got = pread(maps_fd_, text_.data() + size, ask, static_cast<off_t>(size));
    if (got < 0) DieErrno("cannot read maps");
    if (got == 0) return size;
    size += static_cast<size_t>(got);
    const std::string_view text(text_.data(), size);
    const size_t last = text.rfind('\n');
    if (last != std::string_view::npos) {
      const size_t before = last == 0 ? std::string_view::npos : text.rfind('\n', last - 1);
      uint64_t start = 0;
      ParseHex(text_.data() + (before == std::string_view::npos ? 0 : before + 1), start);
      if (start >= end) return size;
    }
    ask = kSlack * 2;
  }
}

void ProcObserver::ReadPages(Snapshot& snapshot) {
  auto line = snapshot.lines.begin();
  for (const Area& area : kAreas) {
    entries_.resize(area.pages());
    const size_t bytes = entries_.size() * sizeof(uint64_t);
    const auto offset = static_cast<off_t>(area.start / kPageSize * sizeof(uint64_t));
    if (pread(pagemap_fd_, entries_.data(), bytes, offset) != static_cast<ssize_t>(bytes)) {
      DieErrno("cannot read pagemap");
    }
    for (size_t i = 0; i < entries_.size(); ++i) {
      const uint64_t entry = entries_[i];
      if ((entry & (kPresent | kGuard)) == 0) continue;
      PageState page;
      page.address = area.start + i * kPageSize;
      page.present = (entry & kPresent) != 0;
      page.file_or_shared = page.present && (entry & kFileOrShared) != 0;
      page.guard = (entry & kGuard) != 0;
      while (line != snapshot.lines.end() && line->end <= page.address) ++line;
      page.readable = page.present && line != snapshot.lines.end() && line->start <= page.address &&
                      line->perms[0] == 'r';
      snapshot.pages.push_back(page);
    }
  }
  ReadWords(snapshot.pages);
}

void ProcObserver::ReadWords(std::vector<PageState>& pages) {
  constexpr size_t kMaxVectors = 1024;
  remote_.clear();
  for (const PageState& page : pages) {
    if (!page.readable) continue;
    remote_.push_back({reinterpret_cast<void*>(page.address), sizeof(uint64_t)});
  }
  words_.assign(remote_.size(), 0);
  for (size_t done = 0; done < remote_.size();) {
    const size_t count = std::min(remote_.size() - done, kMaxVectors);
    const iovec local = {&words_[done], count * sizeof(uint64_t)};
    const ssize_t got = process_vm_readv(pid_, &local, 1, &remote_[done], count, 0);
    if (got != static_cast<ssize_t>(local.iov_len)) DieErrno("cannot read a resident page");
    done += count;
  }
  size_t next = 0;
  for (PageState& page : pages) {
    if (page.readable) page.word = words_[next++];
  }
}

Layout ProcObserver::ReadLayout() {
  Layout layout;
  const size_t size = FillText(kTaskSize);
  const absl::string_view text(text_.data(), size);
  // The first mapping of a program was placed at the very top, so the highest below the stack ends
  // at mmap_base.
  bool stack_seen = false;
  for (const absl::string_view raw : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    Layout::Line line;
    line.name = ParseLine(raw.data(), raw.data() + raw.size(), line.line);
    if (line.line.start >= kTaskSize) break;
    line.line.name = KindOfName(line.name);
    line.anonymous = line.name.empty() || line.line.name == NameKind::kHeap ||
                     line.line.name == NameKind::kStack;
    stack_seen |= line.line.name == NameKind::kStack;
    if (!stack_seen) layout.mmap_base = line.line.end;
    layout.lines.push_back(std::move(line));
  }
  FindUntouched(layout);
  return layout;
}

/// By smaps, which has the flags that maps leaves out.
void ProcObserver::FindUntouched(Layout& layout) const {
  std::ifstream smaps(absl::StrCat("/proc/", pid_, "/smaps"));
  auto line = layout.lines.begin();
  bool written = false;
  for (std::string text; std::getline(smaps, text) && line != layout.lines.end();) {
    const absl::string_view field(text);
    if (absl::StartsWith(field, "Anonymous:")) {
      written = !absl::EndsWith(field, " 0 kB");
    } else if (absl::StartsWith(field, "VmFlags:")) {
      // The last field of a mapping. Whatever else it has keeps it from merging with a new one.
      const std::vector<std::string> flags =
          absl::StrSplit(field.substr(sizeof("VmFlags:") - 1), ' ', absl::SkipEmpty());
      const auto is_plain = [](const std::string& flag) {
        return flag == "mr" || flag == "mw" || flag == "me" || flag == "nr" || flag == "sd";
      };
      line->untouched =
          line->anonymous && !written && std::all_of(flags.begin(), flags.end(), is_plain);
      line->no_reserve = std::count(flags.begin(), flags.end(), "nr") != 0;
      ++line;
    }
  }
}

}  // namespace faultline::oracle

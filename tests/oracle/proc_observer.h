// SPDX-License-Identifier: Apache-2.0
//
// Looks at a real process from outside: its lines of /proc/PID/maps, the entries of its page
// tables from /proc/PID/pagemap, and the first word of each page that is resident and readable.
// The files stay open and are read by pread; nothing the reader does makes a page resident.
//
// It is the hot path of the oracle: two thirds of an operation's time are spent here, most of
// that in the kernel, printing the lines.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/oracle/subject.h"

namespace faultline::oracle {

class ProcObserver {
 public:
  /// `pid` must be a live child of this process.
  ProcObserver(int pid, Mode mode);
  ~ProcObserver();
  ProcObserver(ProcObserver&& other) noexcept;
  ProcObserver& operator=(ProcObserver&&) = delete;

  void Observe(Snapshot& snapshot);
  [[nodiscard]] Layout ReadLayout();

 private:
  void ReadLines(std::vector<MapLine>& lines);
  void ReadPages(Snapshot& snapshot);
  void ReadWords(std::vector<PageState>& pages);
  size_t FillText(uint64_t end);
  void FindUntouched(Layout& layout) const;

  int pid_;
  Mode mode_;
  int maps_fd_ = -1;
  int pagemap_fd_ = -1;
  size_t text_size_ = 0;  // of the previous reading: how much to ask for
  std::vector<char> text_;
  std::vector<uint64_t> entries_;
  std::vector<iovec> remote_;
  std::vector<uint64_t> words_;
};

}  // namespace faultline::oracle

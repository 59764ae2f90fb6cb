// SPDX-License-Identifier: Apache-2.0
//
// Maps page by page: what calls do to mappings, without VMAs, merging, locks or placement. An
// operation is carried out with the result that was recorded, so an mmap goes where it went.
//
// A page is compared by its rights and, if it is of a file, by its offset: what a line of maps
// says.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/recording/ranges.h"
#include "client/recording/recording.h"

namespace faultline::client {

class NaiveMaps {
 public:
  NaiveMaps(const std::vector<Mapping>& start, uint64_t brk_start);

  void Apply(const Operation& op);
  /// The first page that is not as in `maps`; empty if there is none. A stack may have grown.
  [[nodiscard]] std::string Difference(const std::vector<Mapping>& maps) const;
  /// What is mapped there, as a text to compare.
  [[nodiscard]] std::string PagesIn(Range range) const;
  bool operator==(const NaiveMaps& other) const { return pages_ == other.pages_; }

 private:
  struct Page {
    uint8_t rights = 0;
    /// Of files only.
    std::optional<uint64_t> offset;
    bool operator==(const Page&) const = default;
  };
  void Map(const Operation& op);
  void Unmap(uint64_t start, uint64_t end);
  void Move(const Operation& op);
  void Break(uint64_t to);
  static std::map<uint64_t, Page> PagesOfMaps(const std::vector<Mapping>& maps);

  std::map<uint64_t, Page> pages_;
  uint64_t break_;
};

}  // namespace faultline::client

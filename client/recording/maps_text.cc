// SPDX-License-Identifier: Apache-2.0
//
// Rights are four letters in a fixed order, and of a name only the spaces before it are taken: the
// kernel escapes line breaks in names, so a line is a mapping.
#include "client/recording/maps_text.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "client/recording/concat.h"
#include "client/recording/line_reader.h"
#include "client/recording/recording.h"
#include "client/recording/scanner.h"

namespace faultline::client {
namespace {

bool Rights(Scanner& scanner, uint8_t& rights) {
  const std::string_view text = scanner.rest().substr(0, 4);
  uint8_t bits = 0;
  for (const auto& [letter, bit] :
       {std::pair{'r', kRead}, {'w', kWrite}, {'x', kExecute}, {'s', kShared}}) {
    if (text.find(letter) != std::string_view::npos) bits |= bit;
  }
  rights = bits;
  return text == RightsText(bits) && scanner.Literal(text);
}

}  // namespace

bool ParseMapsLine(std::string_view line, Mapping& mapping) {
  Scanner scanner(line);
  const bool parsed = scanner.Hexadecimal(mapping.start) && scanner.Literal("-") &&
                      scanner.Hexadecimal(mapping.end) && scanner.Literal(" ") &&
                      Rights(scanner, mapping.rights) && scanner.Literal(" ") &&
                      scanner.Hexadecimal(mapping.offset) && scanner.Literal(" ") &&
                      scanner.Hexadecimal32(mapping.device_major) && scanner.Literal(":") &&
                      scanner.Hexadecimal32(mapping.device_minor) && scanner.Literal(" ") &&
                      scanner.Decimal(mapping.inode);
  if (!parsed || (!scanner.empty() && scanner.rest().front() != ' ')) return false;
  scanner.Spaces();
  mapping.name = scanner.rest();
  return mapping.start < mapping.end;
}

absl::StatusOr<std::vector<Mapping>> ParseMaps(LineReader& lines) {
  std::vector<Mapping> maps;
  std::string_view line;
  while (lines.Next(line)) {
    Mapping mapping;
    if (!ParseMapsLine(line, mapping)) {
      return absl::InvalidArgumentError(
          lines.About(Concat("not a line of /proc/PID/maps: ", line.substr(0, 100))));
    }
    if (!maps.empty() && mapping.start < maps.back().end) {
      return absl::InvalidArgumentError(lines.About("not behind the mapping before"));
    }
    maps.push_back(std::move(mapping));
  }
  if (!lines.status().ok()) return lines.status();
  if (lines.truncated()) return absl::DataLossError(lines.About("the file ends in this line"));
  return maps;
}

}  // namespace faultline::client

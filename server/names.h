// SPDX-License-Identifier: Apache-2.0
//
// Names of resources (common.proto): machines/M, machines/M/mms/I, machines/M/mms/I/threads/T and
// machines/M/files/F. Parsing looks at the form alone; what exists is the registry's affair.
// Views returned point into what was parsed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace faultline::server {

inline constexpr std::string_view kDefaultMachine = "default";
inline constexpr std::string_view kIdForm =
    "1 to 63 of a-z 0-9 -, beginning with a letter";  ///< of ids that clients choose

/// A name that ends in a number: of an mm or a file.
struct NumberedName {
  std::string_view machine;
  uint64_t number = 0;
};

struct ThreadName {
  NumberedName mm;
  std::string_view thread;
};

/// Whether a client may choose that id.
[[nodiscard]] bool IsId(std::string_view id);

[[nodiscard]] std::optional<std::string_view> ParseMachineName(std::string_view name);
[[nodiscard]] std::optional<NumberedName> ParseMmName(std::string_view name);
[[nodiscard]] std::optional<NumberedName> ParseFileName(std::string_view name);
[[nodiscard]] std::optional<ThreadName> ParseThreadName(std::string_view name);

[[nodiscard]] std::string MachineName(std::string_view machine);
[[nodiscard]] std::string MmName(std::string_view machine, uint64_t number);
[[nodiscard]] std::string FileName(std::string_view machine, uint64_t number);
[[nodiscard]] std::string ThreadNameOf(std::string_view mm_name, std::string_view thread);

}  // namespace faultline::server

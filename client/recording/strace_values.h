// SPDX-License-Identifier: Apache-2.0
//
// Arguments and results as strace prints them: numbers, NULL, names of flags joined by |, names of
// errors. What -X raw prints is a number like any other.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace faultline::client {

/// The arguments of a call, apart at the commas that are not within brackets or strings.
[[nodiscard]] std::vector<std::string_view> SplitArguments(std::string_view text);

/// "0x22", "NULL", "PROT_READ|PROT_WRITE", "MAP_HUGETLB|21<<MAP_HUGE_SHIFT", "3</etc/passwd>",
/// "0x5 /* MADV_??? */". False if it is none of them.
[[nodiscard]] bool ParseValue(std::string_view text, uint64_t& value);

/// "EINVAL" is 22; 0 for a name that is none.
[[nodiscard]] uint32_t ErrorNumber(std::string_view name);

}  // namespace faultline::client

// SPDX-License-Identifier: Apache-2.0
//
// Pages of lists: page_size and page_token of requests. A token says where the next page begins and
// of which list it is, so that one from another list, request or instance is refused rather than
// misunderstood. It is opaque to clients: hexadecimal, with a checksum.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "server/epoch.h"
#include "server/limits.h"
#include "server/refusal.h"

namespace faultline::server {

/// How many may be sent: `asked`, or `by_default` for 0, and never more than the limit.
[[nodiscard]] size_t PageSize(uint32_t asked, size_t by_default, const Limits& limits);

/// The token of the page of `list` that begins at `position`. A list is named by its method and
/// what it is of, such as "ListMms machines/default".
[[nodiscard]] std::string PageToken(const Epoch& epoch, std::string_view list,
                                    std::string_view position);

/// The position that the token stands for, empty for an empty token; INVALID_PAGE_TOKEN.
[[nodiscard]] OrRefusal<std::string> PagePosition(const Epoch& epoch, std::string_view list,
                                                  std::string_view token);

/// The same for positions that are numbers: 0 for an empty token.
[[nodiscard]] std::string PageToken(const Epoch& epoch, std::string_view list, uint64_t position);
[[nodiscard]] OrRefusal<uint64_t> PageNumber(const Epoch& epoch, std::string_view list,
                                             std::string_view token);

}  // namespace faultline::server

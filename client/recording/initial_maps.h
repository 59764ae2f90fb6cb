// SPDX-License-Identifier: Apache-2.0
//
// What an image had when its program began, from its maps at a later time: execve makes mappings
// without system calls that a tracer sees, and nobody can read maps at that moment.
//
// What the image has later is what execve made (the program, its loader, stack, vdso), what
// recorded calls mapped, and the heap. So: take away all that recorded calls ever mapped, and the
// heap, and undo what mprotect did to the rest. The rest are pieces that no program unmaps or maps
// over; one that does cannot be taken apart this way, which a comparison of maps at the end would
// show.
#pragma once

#include <cstdint>
#include <vector>

#include "client/recording/recording.h"

namespace faultline::client {

/// `later` are maps of `image` at any later time. Ascending, as maps are.
[[nodiscard]] std::vector<Mapping> MapsAtExec(const Recording& recording, uint32_t image,
                                              const std::vector<Mapping>& later);

}  // namespace faultline::client

// SPDX-License-Identifier: Apache-2.0
//
// The clock that lock statistics read. Native: the monotonic clock of the host. Modelled: the
// number of steps executed so far, so that runs repeat. Not for anything that the simulated machine
// can see: its time comes from env's TickSource.
#pragma once

#include <cstdint>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Nanoseconds (native) or steps (modelled) since some fixed point; never 0.
[[nodiscard]] uint64_t SyncClockNs();

}  // namespace faultline

// SPDX-License-Identifier: Apache-2.0
//
// What an observer of a workload does: it reads maps or smaps of an mm from beginning to end, as
// ObserveService would for a client, and throws away what it read.
#pragma once

#include <string_view>

#include "core/base/result.h"
#include "core/mm/mm.h"
#include "faultline/v1/common.pb.h"
#include "faultline/v1/workload.pb.h"
#include "server/refusal.h"

namespace faultline::server {

/// Why this server cannot run a workload with the observers that it has: NOT_SUPPORTED with the
/// path of the step; nothing: it can.
[[nodiscard]] MaybeRefusal WhyCannotObserve(const v1::Workload& workload, std::string_view path);

/// Reads all of it. EINTR if the task is killed. The caller uses the mm.
[[nodiscard]] Result<void> ReadToTheEnd(Mm& mm, v1::ObservedFile file, v1::ReadMode mode);

}  // namespace faultline::server

// SPDX-License-Identifier: Apache-2.0
//
// What an observer of a workload does: it reads maps or smaps of an mm from beginning to end, as
// ObserveService would for a client, and throws away what it read.
#pragma once

#include "core/base/result.h"
#include "core/mm/mm.h"
#include "faultline/v1/common.pb.h"
#include "faultline/v1/workload.pb.h"

namespace faultline::server {

/// Reads all of it. EINTR if the task is killed. The caller uses the mm.
[[nodiscard]] Result<void> ReadToTheEnd(Mm& mm, v1::ObservedFile file, v1::ReadMode mode);

}  // namespace faultline::server

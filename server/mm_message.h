// SPDX-License-Identifier: Apache-2.0
//
// The message Mm (mm.proto) of an mm, and an mm of a message: what CreateMm and Attach share.
#pragma once

#include <string>

#include "faultline/v1/mm.pb.h"
#include "server/machine_entry.h"
#include "server/mm_entry.h"

namespace faultline::server {

/// What is sent about an mm that the caller uses.
void ToProto(const MmUse& use, v1::Mm& out);

/// A new mm as `mm` wants it; what the server sets is ignored. `path` is where it stands in the
/// request.
[[nodiscard]] OrRefusal<MmUse> CreateMm(MachineEntry& machine, const v1::Mm& mm, MmLife life,
                                        const std::string& path);

}  // namespace faultline::server

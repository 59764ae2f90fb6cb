// SPDX-License-Identifier: Apache-2.0
//
// VMAs and what is resident of them as messages (observe.proto), and the request's choices that
// readers of maps share.
#pragma once

#include <string_view>

#include "core/mm/proc_maps.h"
#include "core/mm/proc_smaps.h"
#include "faultline/v1/observe.pb.h"
#include "server/machine_entry.h"
#include "server/refusal.h"

namespace faultline::server {

/// A VMA of an mm of `machine`.
void ToProto(const VmaRecord& vma, const MachineEntry& machine, v1::VmaInfo& out);
void ToProto(const Residency& residency, v1::ResidencyInfo& out);

/// UNKNOWN_ENUM_VALUE.
[[nodiscard]] OrRefusal<ReadMode> ToCore(v1::ReadMode mode, std::string_view field);
/// The format without UNSPECIFIED; UNKNOWN_ENUM_VALUE.
[[nodiscard]] OrRefusal<v1::MapsFormat> FormatOf(v1::MapsFormat format, std::string_view field);

}  // namespace faultline::server

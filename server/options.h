// SPDX-License-Identifier: Apache-2.0
//
// The API's choices as the core's and back: enums (by api_enums.h), FaultOptions, MmOptions.
//
// What the API cannot say is the core's default. A value that has no meaning is refused with the
// path of its field; which combinations there are, the core decides (WhyRefused).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/errno.h"
#include "core/fault/fault.h"
#include "core/fault/fault_options.h"
#include "core/folio/frame_memory.h"
#include "core/mm/mm.h"
#include "core/observe/activity.h"
#include "core/observe/fault_reasons.h"
#include "core/sync/fail_points.h"
#include "core/sync/lock_rank.h"
#include "faultline/v1/common.pb.h"
#include "faultline/v1/machine.pb.h"
#include "faultline/v1/mm.pb.h"
#include "server/api_enums.h"
#include "server/limits.h"
#include "server/refusal.h"

namespace faultline::server {

/// What a request chose; `otherwise` if it left it open.
template <class Core, class Api>
[[nodiscard]] OrRefusal<Core> Chosen(Api api, std::string_view field, Core otherwise) {
  if (static_cast<int>(api) == 0) return otherwise;
  if (const auto core = FromApi<Core>(api)) return *core;
  return UnknownEnumValue(field, static_cast<int>(api), ValuesOf<Api>());
}

/// `path` is where the message stands in the request, such as "mm.options.fault".
[[nodiscard]] OrRefusal<FaultOptions> ToCore(const v1::FaultOptions& options,
                                             const std::string& path);
[[nodiscard]] OrRefusal<MmOptions> ToCore(const v1::MmOptions& options, const Limits& limits,
                                          const std::string& path);
/// With all defaults filled in.
void ToProto(const FaultOptions& options, v1::FaultOptions& out);
void ToProto(const MmOptions& options, v1::MmOptions& out);

[[nodiscard]] OrRefusal<AccessKind> ToCore(v1::AccessKind access, std::string_view field);
[[nodiscard]] OrRefusal<FaultMode> ToCore(v1::FaultMode mode, std::string_view field);
[[nodiscard]] v1::AccessKind ToProto(AccessKind access);

[[nodiscard]] OrRefusal<PageContents> ToCore(v1::PageContents contents, std::string_view field);
[[nodiscard]] v1::PageContents ToProto(PageContents contents);
[[nodiscard]] OrRefusal<FailSite> ToCore(v1::FailSite site, std::string_view field);
[[nodiscard]] v1::TableAlloc ToProto(TableAlloc alloc);

[[nodiscard]] inline v1::Errno ToProto(Errno error) {
  return static_cast<v1::Errno>(error);  // both have Linux's numbers
}
void ToProto(const AccessOutcome& outcome, v1::AccessResult& out);

[[nodiscard]] v1::FaultRung ToProto(FaultRung rung);
[[nodiscard]] v1::LeaveReason ToProto(LeaveReason reason);
[[nodiscard]] v1::LockRank ToProto(LockRank rank);
/// Of a task's tag.
[[nodiscard]] v1::Activity ToProto(Activity activity);

}  // namespace faultline::server

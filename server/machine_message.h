// SPDX-License-Identifier: Apache-2.0
//
// The messages of machine.proto and what stands behind them: machines, tunables, files, schemes,
// limits. What is asked for is checked here, in the order of the message's fields; which watermarks
// a machine can have, the core decides (WhyRefused).
#pragma once

#include <string>

#include <absl/time/time.h>
#include <google/protobuf/timestamp.pb.h>

#include "core/fault/fault_options.h"
#include "core/folio/watermarks.h"
#include "core/machine/machine.h"
#include "faultline/v1/machine.pb.h"
#include "server/limits.h"
#include "server/machine_entry.h"
#include "server/refusal.h"

namespace faultline::server {

/// What a new machine is to be; what the server sets is ignored. `path` is where the message stands
/// in the request.
[[nodiscard]] OrRefusal<MachineOptions> ToCore(const v1::Machine& machine, const Limits& limits,
                                               const std::string& path);
/// `now` with the changes that are set, if memory of `frames` frames can have those marks.
[[nodiscard]] OrRefusal<WatermarkOptions> Changed(const WatermarkOptions& now,
                                                  const v1::Tunables& changes, uint64_t frames,
                                                  const std::string& path);
/// What a machine or an mm may be described with.
[[nodiscard]] MaybeRefusal CheckDescription(const std::string& description,
                                            const std::string& path);
/// A new file's path and size.
[[nodiscard]] MaybeRefusal Check(const v1::File& file, const std::string& path);

void ToProto(absl::Time time, google::protobuf::Timestamp& out);
/// As they are now.
void ToProto(MachineEntry& machine, v1::Machine& out);
void ToProto(const WatermarkOptions& options, v1::Tunables& out);
void ToProto(const MachineEntry& machine, const MachineEntry::File& file, v1::File& out);
void ToProto(const Limits& limits, v1::Limits& out);
/// All there is to know about a scheme.
void ToProto(SchemeName scheme, v1::SchemeInfo& out);

}  // namespace faultline::server

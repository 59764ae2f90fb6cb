// SPDX-License-Identifier: Apache-2.0
//
// The workloads that are known by name: the textproto files of presets/, which are compiled into
// this library.
//
// One file may be several presets. Those of will-it-scale are each NAME_threads, where tasks share
// an mm, and NAME_processes, where each has its own; that of an observer is one for each file and
// mode of reading, and observer_none without it, to compare with.
#pragma once

#include <span>
#include <string_view>

#include "faultline/v1/workload.pb.h"

namespace faultline::workload {

/// All presets, by name. They are parsed once, when they are first asked for, by any thread.
[[nodiscard]] std::span<const v1::Workload> Presets();

/// The preset of that name; null: there is none.
[[nodiscard]] const v1::Workload* FindPreset(std::string_view name);

}  // namespace faultline::workload

// SPDX-License-Identifier: Apache-2.0
//
// What the tables and JSON documents of faultline-explore have in common: names of searches, and
// the objects that several documents contain. Keys keep the order in which they are written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "core/base/build.h"
#include "core/explore/scenario.h"
#include "core/sync/modelled/search.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

using Json = nlohmann::ordered_json;

/// A document's beginning: tool, build and kind.
[[nodiscard]] Json Document(std::string_view kind);
[[nodiscard]] std::string Text(const Json& json);

[[nodiscard]] Json JsonOf(const Violation& violation);
[[nodiscard]] Json JsonOf(const SearchOptions& options);
[[nodiscard]] Json JsonOf(const std::optional<Finding>& finding);
[[nodiscard]] Json JsonOf(const RunIdentity& identity);
/// As the identity of that search.
[[nodiscard]] Json JsonOf(const Configuration& configuration, Mutant mutant);

/// "vma_lock", with policies that are not its defaults: "vma_lock+synchronous"; "none" if the
/// scenario takes none.
[[nodiscard]] std::string SchemeLabel(const Configuration& configuration);
/// The scenario, and the scheme if it takes one: "fault_vs_fork vma_lock".
[[nodiscard]] std::string Label(const Configuration& configuration);

/// The command that repeats a finding.
[[nodiscard]] std::string ReplayCommand(std::string_view replay);
/// "1 scenario", "2 scenarios".
[[nodiscard]] std::string Count(uint64_t number, std::string_view what);
[[nodiscard]] double PerSecond(uint64_t schedules, double seconds);

}  // namespace faultline

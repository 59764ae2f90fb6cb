// SPDX-License-Identifier: Apache-2.0
//
// Names of the choices of fault_options.h, and the one function that says which go together.
//
// What a scheme can do stands in the table of schemes; here is only what follows from it.
#include "core/fault/fault_options.h"

#include <array>
#include <cstddef>
#include <vector>

#include <absl/strings/str_format.h>

#include "core/base/check.h"
#include "core/fault/scheme_table.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// The names of one enum, by enumerator.
template <class Enum>
using Names = std::array<std::string_view, static_cast<size_t>(Enum::kCount)>;

constexpr Names<TableAlloc> kAllocNames = {
    "eager",        "prealloc_all",       "prealloc_missing", "nowait_scope",
    "gfp_argument", "rcu_implies_nowait", "task_flag",        "nowait_reclaim_retry"};
constexpr Names<PteTable> kPteNames = {"at_set_pte", "with_walk"};
constexpr Names<TableFree> kFreeNames = {"deferred", "synchronous"};
constexpr Names<FaultGuard> kGuardNames = {"still_valid", "still_valid_alone",
                                           "grace_period_before_zap"};
constexpr std::string_view kWireTables = "spf_wire_tables";
constexpr std::string_view kDepthKnown = "depth_known";

template <class Enum>
std::string_view NameIn(const Names<Enum>& names, Enum value) {
  const auto index = static_cast<size_t>(value);
  MM_CHECK_LT(index, names.size());
  return names[index];
}

std::string Joined(std::span<const std::string_view> names) {
  std::string joined;
  for (const std::string_view name : names) {
    if (!joined.empty()) joined += ", ";
    joined += name;
  }
  return joined;
}

/// Says so if `value` is no enumerator.
template <class Enum>
std::optional<std::string> Unknown(std::string_view field, Enum value,
                                   std::span<const std::string_view> names) {
  const auto index = static_cast<size_t>(value);
  if (index < names.size()) return std::nullopt;
  return absl::StrFormat("%s: there is no value %d; allowed: %s", field, index, Joined(names));
}

/// The names of the schemes, as Unknown wants them.
std::vector<std::string_view> SchemeNames() {
  std::vector<std::string_view> names;
  for (const SchemeRow& row : SchemeTable()) names.push_back(row.info.name);
  return names;
}

std::optional<std::string> FirstUnknown(const FaultOptions& options) {
  if (auto why = Unknown("scheme", options.scheme, SchemeNames())) return why;
  if (auto why = Unknown("pgtable_alloc", options.pgtable_alloc, kAllocNames)) return why;
  if (auto why = Unknown("pte_table", options.pte_table, kPteNames)) return why;
  if (auto why = Unknown("pgtable_free", options.pgtable_free, kFreeNames)) return why;
  return Unknown("guard", options.guard, kGuardNames);
}

bool SleepsWhereItMustNot(const FaultOptions& options) {
  return options.pgtable_alloc == TableAlloc::kEager && !InfoOf(options.scheme).may_sleep;
}
bool LacksTheDepth(const FaultOptions& options) {
  return options.pgtable_alloc == TableAlloc::kRcuImpliesNowait && !options.depth_known;
}

/// The policies that the options' other fields leave to pgtable_alloc.
std::string AllowedAllocs(FaultOptions options) {
  std::vector<std::string_view> allowed;
  for (size_t i = 0; i < kAllocNames.size(); ++i) {
    options.pgtable_alloc = static_cast<TableAlloc>(i);
    if (!SleepsWhereItMustNot(options) && !LacksTheDepth(options)) {
      allowed.push_back(kAllocNames[i]);
    }
  }
  return Joined(allowed);
}

}  // namespace

FaultOptions DefaultsOf(SchemeName scheme) {
  return {.scheme = scheme, .pgtable_alloc = InfoOf(scheme).default_alloc};
}

std::optional<std::string> WhyRefused(const FaultOptions& options) {
  if (auto why = FirstUnknown(options)) return why;
  const SchemeInfo& row = InfoOf(options.scheme);
  if (SleepsWhereItMustNot(options)) {
    return absl::StrFormat(
        "pgtable_alloc: eager sleeps, which a fault of scheme %s must not; allowed: %s", row.name,
        AllowedAllocs(options));
  }
  if (LacksTheDepth(options)) {
    return absl::StrFormat(
        "pgtable_alloc: rcu_implies_nowait needs depth_known, which is off; allowed: %s",
        AllowedAllocs(options));
  }
  const bool is_spf =
      options.scheme == SchemeName::kSpfMmSeq || options.scheme == SchemeName::kSpfVmaSeq;
  if (options.spf_wire_tables && !is_spf) {
    return absl::StrFormat(
        "spf_wire_tables: true is for schemes spf_mm_seq and spf_vma_seq; allowed for %s: false",
        row.name);
  }
  return std::nullopt;
}

std::string_view Name(SchemeName scheme) { return InfoOf(scheme).name; }
std::string_view Name(TableAlloc alloc) { return NameIn(kAllocNames, alloc); }
std::string_view Name(PteTable when) { return NameIn(kPteNames, when); }
std::string_view Name(TableFree how) { return NameIn(kFreeNames, how); }
std::string_view Name(FaultGuard guard) { return NameIn(kGuardNames, guard); }

std::span<const SchemeName> AllSchemes() {
  static constexpr auto kAll = [] {
    std::array<SchemeName, static_cast<size_t>(SchemeName::kCount)> all{};
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<SchemeName>(i);
    return all;
  }();
  return kAll;
}

std::optional<SchemeName> SchemeFromName(std::string_view name) {
  for (const SchemeRow& row : SchemeTable()) {
    if (row.info.name == name) return row.info.scheme;
  }
  return std::nullopt;
}

std::string PoliciesOf(const FaultOptions& options) {
  std::string words =
      absl::StrFormat("%s,%s,%s,%s", Name(options.pgtable_alloc), Name(options.pte_table),
                      Name(options.pgtable_free), Name(options.guard));
  if (options.spf_wire_tables) words += absl::StrFormat(",%s", kWireTables);
  if (options.depth_known) words += absl::StrFormat(",%s", kDepthKnown);
  return words;
}

namespace {

/// Sets `field` to the enumerator called `word`; false if there is none.
template <class Enum>
bool SetTo(std::string_view word, const Names<Enum>& names, Enum& field) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] != word) continue;
    field = static_cast<Enum>(i);
    return true;
  }
  return false;
}

/// Which field a word of ParsePolicies set; kNone: it is none of them.
enum class PolicyField : uint8_t { kNone, kAlloc, kPte, kFree, kGuard, kWire, kDepth };

PolicyField SetPolicy(std::string_view word, FaultOptions& options) {
  if (SetTo(word, kAllocNames, options.pgtable_alloc)) return PolicyField::kAlloc;
  if (SetTo(word, kPteNames, options.pte_table)) return PolicyField::kPte;
  if (SetTo(word, kFreeNames, options.pgtable_free)) return PolicyField::kFree;
  if (SetTo(word, kGuardNames, options.guard)) return PolicyField::kGuard;
  if (word == kWireTables) {
    options.spf_wire_tables = true;
    return PolicyField::kWire;
  }
  if (word == kDepthKnown) {
    options.depth_known = true;
    return PolicyField::kDepth;
  }
  return PolicyField::kNone;
}

std::string AllPolicyWords() {
  return absl::StrFormat("%s; %s; %s; %s; %s; %s", Joined(kAllocNames), Joined(kPteNames),
                         Joined(kFreeNames), Joined(kGuardNames), kWireTables, kDepthKnown);
}

}  // namespace

std::optional<std::string> ParsePolicies(std::string_view words, FaultOptions& options) {
  FaultOptions parsed = options;
  uint32_t seen = 0;
  while (true) {
    const size_t comma = words.find(',');
    const std::string_view word = words.substr(0, comma);
    const PolicyField field = SetPolicy(word, parsed);
    if (field == PolicyField::kNone) {
      return absl::StrFormat("policy '%s' is unknown; allowed, one of each: %s", word,
                             AllPolicyWords());
    }
    const uint32_t bit = 1u << static_cast<uint32_t>(field);
    if ((seen & bit) != 0) {
      return absl::StrFormat("policy '%s': another one of its kind was given before", word);
    }
    seen |= bit;
    if (comma == std::string_view::npos) break;
    words.remove_prefix(comma + 1);
  }
  options = parsed;
  return std::nullopt;
}

}  // namespace faultline

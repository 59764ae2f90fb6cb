// SPDX-License-Identifier: Apache-2.0
//
// faultline-explore --list: scenarios with the mutants that each must find, mutants, schemes,
// policies, and which scheme goes with which way of allocating tables.
#include <algorithm>
#include <cstdio>
#include <utility>

#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>

#include "core/explore/faultline_explore_json.h"
#include "core/explore/faultline_explore_output.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Every enumerator of a policy by name.
template <class Enum>
std::vector<std::string_view> NamesOf() {
  std::vector<std::string_view> names;
  names.reserve(static_cast<size_t>(Enum::kCount));
  for (size_t i = 0; i < static_cast<size_t>(Enum::kCount); ++i) {
    names.push_back(Name(static_cast<Enum>(i)));
  }
  return names;
}

/// A policy's name, as in DESIGN, and its values; a flag has only its own word.
std::vector<std::pair<std::string_view, std::vector<std::string_view>>> AllPolicies() {
  return {{"pgtable_alloc", NamesOf<TableAlloc>()},
          {"pte_table", NamesOf<PteTable>()},
          {"pgtable_free", NamesOf<TableFree>()},
          {"guard", NamesOf<FaultGuard>()},
          {"flags", {"spf_wire_tables", "depth_known"}}};
}

/// Whether the scheme goes with it; what it needs besides is granted.
bool Accepts(SchemeName scheme, TableAlloc alloc) {
  FaultOptions options = DefaultsOf(scheme);
  options.pgtable_alloc = alloc;
  options.depth_known = true;
  return IsAllowed(options);
}

/// "m9 (vma_lock+prealloc_all, ...)"
std::string Finds(const Scenario& scenario, const Expectation& expectation) {
  std::vector<std::string> where;
  where.reserve(expectation.configurations.size());
  for (const FaultOptions& options : expectation.configurations) {
    where.push_back(SchemeLabel({&scenario, options}));
  }
  const std::string mutant(Name(expectation.mutant));
  return where.empty() ? mutant : absl::StrFormat("%s (%s)", mutant, absl::StrJoin(where, ", "));
}

/// Words in a row.
std::string Joined(const std::vector<std::string_view>& words) {
  return absl::StrJoin(words, ", ",
                       [](std::string* out, std::string_view word) { out->append(word); });
}

void PrintScenarios(int column) {
  absl::PrintF("Scenarios (and the mutants that each must find):\n");
  for (const Scenario& scenario : AllScenarios()) {
    absl::PrintF("  %-*s  %s\n", column, scenario.name, scenario.description);
    for (const Expectation& expectation : scenario.finds) {
      absl::PrintF("  %-*s  finds %s\n", column, "", Finds(scenario, expectation));
    }
  }
}

void PrintMatrix(int column) {
  absl::PrintF("\nSchemes, and the ways of allocating tables that each accepts:\n  %-*s", column,
               "");
  for (const std::string_view name : NamesOf<TableAlloc>()) absl::PrintF("  %s", name);
  absl::PrintF("\n");
  for (const SchemeName scheme : AllSchemes()) {
    absl::PrintF("  %-*s", column, Name(scheme));
    for (size_t i = 0; i < static_cast<size_t>(TableAlloc::kCount); ++i) {
      const auto alloc = static_cast<TableAlloc>(i);
      absl::PrintF("  %-*s", static_cast<int>(Name(alloc).size()),
                   Accepts(scheme, alloc) ? "yes" : "no");
    }
    absl::PrintF("\n");
  }
  absl::PrintF("  rcu_implies_nowait needs depth_known, too.\n");
}

}  // namespace

void PrintList() {
  size_t width = 0;
  for (const Scenario& scenario : AllScenarios()) width = std::max(width, scenario.name.size());
  for (const Mutant mutant : AllMutants()) width = std::max(width, Name(mutant).size());
  const int column = static_cast<int>(width);
  PrintScenarios(column);
  absl::PrintF("\nMutants:\n");
  for (const Mutant mutant : AllMutants()) {
    absl::PrintF("  %-*s  %s\n", column, Name(mutant), Description(mutant));
  }
  absl::PrintF("\nPolicies (of each kind one; --policy takes them in any order):\n");
  for (const auto& [kind, words] : AllPolicies()) {
    absl::PrintF("  %-*s  %s\n", column, kind, Joined(words));
  }
  PrintMatrix(column);
}

std::string ListJson() {
  Json json = Document("list");
  json["scenarios"] = Json::array();
  for (const Scenario& scenario : AllScenarios()) {
    Json finds = Json::array();
    for (const Expectation& expectation : scenario.finds) {
      Json where = Json::array();
      for (const FaultOptions& options : expectation.configurations) {
        where.push_back({{"scheme", Name(options.scheme)}, {"policies", PoliciesOf(options)}});
      }
      finds.push_back({{"mutant", Name(expectation.mutant)}, {"configurations", where}});
    }
    json["scenarios"].push_back({{"name", scenario.name},
                                 {"description", scenario.description},
                                 {"takes_scheme", scenario.takes_fault_options()},
                                 {"finds", finds}});
  }
  json["mutants"] = Json::array();
  for (const Mutant mutant : AllMutants()) {
    json["mutants"].push_back({{"name", Name(mutant)}, {"description", Description(mutant)}});
  }
  json["schemes"] = Json::array();
  for (const SchemeName scheme : AllSchemes()) {
    Json accepts = Json::object();
    for (size_t i = 0; i < static_cast<size_t>(TableAlloc::kCount); ++i) {
      const auto alloc = static_cast<TableAlloc>(i);
      accepts[std::string(Name(alloc))] = Accepts(scheme, alloc);
    }
    json["schemes"].push_back({{"name", Name(scheme)},
                               {"defaults", PoliciesOf(DefaultsOf(scheme))},
                               {"pgtable_alloc", accepts}});
  }
  json["policies"] = Json::object();
  for (const auto& [kind, words] : AllPolicies()) json["policies"][std::string(kind)] = words;
  return Text(json);
}

}  // namespace faultline

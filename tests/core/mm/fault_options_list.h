// SPDX-License-Identifier: Apache-2.0
//
// Every combination of scheme and policies that an mm can have, for tests that go over them, and a
// name for each that fits into a test's.
//
// depth_known is on: it allows more and changes nothing else. spf_wire_tables is on in half of the
// combinations of the schemes that know it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "core/fault/fault_options.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

template <class Enum>
[[nodiscard]] std::vector<Enum> AllOf() {
  std::vector<Enum> all(static_cast<size_t>(Enum::kCount));
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<Enum>(i);
  return all;
}

/// All that there are of one scheme, its defaults first.
[[nodiscard]] inline std::vector<FaultOptions> AllowedOptions(SchemeName scheme) {
  std::vector<FaultOptions> allowed = {DefaultsOf(scheme)};
  for (const TableAlloc alloc : AllOf<TableAlloc>()) {
    for (const PteTable pte : AllOf<PteTable>()) {
      for (const TableFree free : AllOf<TableFree>()) {
        for (const FaultGuard guard : AllOf<FaultGuard>()) {
          for (const bool wire : {false, true}) {
            const FaultOptions options{.scheme = scheme,
                                       .pgtable_alloc = alloc,
                                       .pte_table = pte,
                                       .pgtable_free = free,
                                       .guard = guard,
                                       .spf_wire_tables = wire,
                                       .depth_known = true};
            if (IsAllowed(options)) allowed.push_back(options);
          }
        }
      }
    }
  }
  return allowed;
}

/// Of each scheme its defaults and one with each policy of table allocation.
[[nodiscard]] inline std::vector<FaultOptions> SchemesByAlloc() {
  std::vector<FaultOptions> options;
  for (const SchemeName scheme : AllSchemes()) {
    for (const TableAlloc alloc : AllOf<TableAlloc>()) {
      const FaultOptions one{.scheme = scheme, .pgtable_alloc = alloc, .depth_known = true};
      if (IsAllowed(one)) options.push_back(one);
    }
  }
  return options;
}

/// "rcu_restart_gfp_argument_at_set_pte_deferred_still_valid"
[[nodiscard]] inline std::string TestNameOf(const FaultOptions& options) {
  std::string name = std::string(Name(options.scheme)) + "_" + PoliciesOf(options);
  std::replace(name.begin(), name.end(), ',', '_');
  return name;
}

}  // namespace faultline

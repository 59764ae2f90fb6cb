// SPDX-License-Identifier: Apache-2.0
//
// The table of locking schemes: what core/mm, the tools and fault_options.cc know them by. Adding a
// scheme takes a row in scheme_table.cc (docs/adding-a-scheme.md).
//
// Invariant: row i is about the scheme with number i.
#pragma once

#include <span>

#include "core/base/build.h"
#include "core/fault/fault_scheme.h"
#include "core/observe/fault_events.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct SchemeRow {
  SchemeInfo info;
  FaultFunction fault;
  FaultRungSet (*rungs)();
};

[[nodiscard]] std::span<const SchemeRow> SchemeTable();
[[nodiscard]] const SchemeInfo& InfoOf(SchemeName scheme);
/// The rungs of its ladder.
[[nodiscard]] FaultRungSet RungsOf(SchemeName scheme);
/// What writers of an mm with these options do: the scheme's duties and the guard's.
[[nodiscard]] WriteDuties DutiesOf(const FaultOptions& options);

}  // namespace faultline

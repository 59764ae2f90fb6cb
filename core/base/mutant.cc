// SPDX-License-Identifier: Apache-2.0
//
// The table behind mutant.h: names, descriptions, and the modelled build's current mutant.
//
// The table is indexed by the enumerator's number; both come from the one macro table in the
// header, so that they cannot disagree.
//
// Linux analogue: none.
// Invariant: kRows[i] describes the mutant with number i; row 0 is kNone.

#include "core/base/mutant.h"

#include <array>
#include <cstddef>

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

struct Row {
  std::string_view name;
  std::string_view description;
};

constexpr std::array kRows = {
#define FAULTLINE_ROW(enumerator, name, description) Row{name, description},
    FAULTLINE_MUTANT_TABLE(FAULTLINE_ROW)
#undef FAULTLINE_ROW
};

constexpr std::array kAll = {
#define FAULTLINE_ENTRY(enumerator, name, description) Mutant::enumerator,
    FAULTLINE_MUTANT_TABLE(FAULTLINE_ENTRY)
#undef FAULTLINE_ENTRY
};

const Row& RowOf(Mutant mutant) {
  const auto index = static_cast<std::size_t>(mutant);
  MM_CHECK_LT(index, kRows.size());
  return kRows[index];
}

}  // namespace

#if defined(FAULTLINE_MODELLED)
namespace mutant_internal {
Mutant current = Mutant::kNone;
}  // namespace mutant_internal
#endif

std::string_view Name(Mutant mutant) noexcept { return RowOf(mutant).name; }

std::string_view Description(Mutant mutant) noexcept { return RowOf(mutant).description; }

std::optional<Mutant> MutantFromName(std::string_view name) noexcept {
  for (const Mutant mutant : kAll) {
    if (Name(mutant) == name) return mutant;
  }
  return std::nullopt;
}

std::span<const Mutant> AllMutants() noexcept { return std::span(kAll).subspan(1); }

}  // namespace faultline

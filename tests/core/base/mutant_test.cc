// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/base/mutant.h: names lead to mutants, and only the modelled build has any.

#include "core/base/mutant.h"

#include <optional>
#include <set>
#include <string_view>

#include <gtest/gtest.h>

namespace faultline {
namespace {

TEST(MutantTest, NameLeadsBackToTheMutant) {
  for (const Mutant mutant : AllMutants()) EXPECT_EQ(MutantFromName(Name(mutant)), mutant);
  EXPECT_EQ(MutantFromName("none"), Mutant::kNone);
  EXPECT_EQ(MutantFromName("rwsem_loses_wakeup"), Mutant::kRwSemLosesWakeup);
}

TEST(MutantTest, UnknownNameIsNone) {
  EXPECT_EQ(MutantFromName("RWSEM_LOSES_WAKEUP"), std::nullopt);
  EXPECT_EQ(MutantFromName(""), std::nullopt);
}

TEST(MutantTest, NamesAreDistinctSnakeCaseWithADescription) {
  std::set<std::string_view> names;
  for (const Mutant mutant : AllMutants()) {
    EXPECT_TRUE(names.insert(Name(mutant)).second) << Name(mutant);
    EXPECT_EQ(Name(mutant).find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"),
              std::string_view::npos)
        << Name(mutant);
    EXPECT_FALSE(Description(mutant).empty()) << Name(mutant);
  }
}

TEST(MutantTest, AllMutantsLeavesNoneOut) {
  ASSERT_FALSE(AllMutants().empty());
  EXPECT_EQ(AllMutants().front(), static_cast<Mutant>(1));
  EXPECT_NE(Name(AllMutants().back()), "none");
}

#if defined(FAULTLINE_MODELLED)

TEST(MutantOnTest, IsTrueForTheCurrentMutantAlone) {
  SetMutant(Mutant::kAbbaOrder);
  EXPECT_TRUE(MutantOn(Mutant::kAbbaOrder));
  EXPECT_FALSE(MutantOn(Mutant::kSleepInRcuSection));
  SetMutant(Mutant::kNone);
  EXPECT_FALSE(MutantOn(Mutant::kAbbaOrder));
}

#else

TEST(MutantOnTest, IsConstantFalseInTheNativeBuild) {
  static_assert(!MutantOn(Mutant::kAbbaOrder));
}

#endif

}  // namespace
}  // namespace faultline

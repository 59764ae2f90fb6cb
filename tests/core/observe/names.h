// SPDX-License-Identifier: Apache-2.0
//
// For tests of vocabularies: each enumerator below kCount has a name of its own, fit for reports.

#pragma once

#include <cstddef>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Expects that the names of all enumerators are distinct and in snake_case.
template <class Enum>
void ExpectSnakeCaseNames() {
  std::set<std::string> names;
  for (size_t i = 0; i < static_cast<size_t>(Enum::kCount); ++i) {
    const std::string name(Name(static_cast<Enum>(i)));
    EXPECT_FALSE(name.empty()) << "enumerator " << i;
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string::npos) << name;
    EXPECT_TRUE(names.insert(name).second) << name << " stands for two enumerators";
  }
}

}  // namespace faultline

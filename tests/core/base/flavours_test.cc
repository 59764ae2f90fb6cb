// SPDX-License-Identifier: Apache-2.0
//
// One binary holds both builds of the core, with code and state of their own.

#include <gtest/gtest.h>

// What flavour_probe.cc defines, once per flavour.
namespace faultline {
using CheckHandler = void (*)(const char* message);
namespace native {
bool ProbeIsModelled();
CheckHandler ProbeSetHandler(CheckHandler handler);
}  // namespace native
namespace modelled {
bool ProbeIsModelled();
CheckHandler ProbeSetHandler(CheckHandler handler);
}  // namespace modelled

namespace {

TEST(FlavoursTest, KeepTheirCodeApart) {
  EXPECT_FALSE(native::ProbeIsModelled());
  EXPECT_TRUE(modelled::ProbeIsModelled());
}

TEST(FlavoursTest, KeepTheirStateApart) {
  const CheckHandler handler = [](const char*) {};
  EXPECT_EQ(native::ProbeSetHandler(handler), nullptr);
  EXPECT_EQ(modelled::ProbeSetHandler(nullptr), nullptr);
  EXPECT_EQ(native::ProbeSetHandler(nullptr), handler);
}

}  // namespace
}  // namespace faultline

// SPDX-License-Identifier: Apache-2.0
//
// One binary holds the native and the modelled sync layer, with code and state of their own. That a
// file of one flavour does not link with the library of the other is the test
// core_sync_mixed_flavours_do_not_link (see CMakeLists.txt).

#include <cstdint>
#include <string_view>

#include <gtest/gtest.h>

// What flavour_probe.cc defines, once per flavour.
namespace faultline {
namespace native {
enum class LockdepProblem : uint8_t;
using LockdepHandler = void (*)(LockdepProblem problem, std::string_view text);
bool SyncProbeIsModelled();
uint32_t SyncProbeUsesEverything();
LockdepHandler SyncProbeSetLockdepHandler(LockdepHandler handler);
}  // namespace native
namespace modelled {
enum class LockdepProblem : uint8_t;
using LockdepHandler = void (*)(LockdepProblem problem, std::string_view text);
bool SyncProbeIsModelled();
uint32_t SyncProbeUsesEverything();
LockdepHandler SyncProbeSetLockdepHandler(LockdepHandler handler);
}  // namespace modelled

namespace {

TEST(SyncFlavoursTest, KeepTheirCodeApart) {
  EXPECT_FALSE(native::SyncProbeIsModelled());
  EXPECT_TRUE(modelled::SyncProbeIsModelled());
}

TEST(SyncFlavoursTest, WorkSideBySide) {
  EXPECT_EQ(native::SyncProbeUsesEverything(), 3u);
  EXPECT_EQ(modelled::SyncProbeUsesEverything(), 3u);
}

TEST(SyncFlavoursTest, KeepTheirStateApart) {
  const native::LockdepHandler handler = [](native::LockdepProblem, std::string_view) {};
  EXPECT_EQ(native::SyncProbeSetLockdepHandler(handler), nullptr);
  EXPECT_EQ(modelled::SyncProbeSetLockdepHandler(nullptr), nullptr);
  EXPECT_EQ(native::SyncProbeSetLockdepHandler(nullptr), handler);
}

}  // namespace
}  // namespace faultline

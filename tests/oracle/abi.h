// SPDX-License-Identifier: Apache-2.0
//
// Numbers of the x86-64 system call interface that the C library's headers of a stable
// distribution do not have yet, or name only under a feature macro. The advices are listed in
// full, so that a reader finds them in one place.
#pragma once

#include <cstdint>

namespace faultline::oracle {

inline constexpr uint64_t kMapDroppable = 0x08;
inline constexpr uint64_t kMremapDontunmap = 4;
inline constexpr long kSysMseal = 462;

inline constexpr uint64_t kMadvNormal = 0;
inline constexpr uint64_t kMadvRandom = 1;
inline constexpr uint64_t kMadvSequential = 2;
inline constexpr uint64_t kMadvWillneed = 3;
inline constexpr uint64_t kMadvDontneed = 4;
inline constexpr uint64_t kMadvFree = 8;
inline constexpr uint64_t kMadvRemove = 9;
inline constexpr uint64_t kMadvDontfork = 10;
inline constexpr uint64_t kMadvDofork = 11;
inline constexpr uint64_t kMadvMergeable = 12;
inline constexpr uint64_t kMadvUnmergeable = 13;
inline constexpr uint64_t kMadvHugepage = 14;
inline constexpr uint64_t kMadvNohugepage = 15;
inline constexpr uint64_t kMadvDontdump = 16;
inline constexpr uint64_t kMadvDodump = 17;
inline constexpr uint64_t kMadvWipeonfork = 18;
inline constexpr uint64_t kMadvKeeponfork = 19;
inline constexpr uint64_t kMadvCold = 20;
inline constexpr uint64_t kMadvPageout = 21;
inline constexpr uint64_t kMadvPopulateRead = 22;
inline constexpr uint64_t kMadvPopulateWrite = 23;
inline constexpr uint64_t kMadvDontneedLocked = 24;
inline constexpr uint64_t kMadvCollapse = 25;
inline constexpr uint64_t kMadvGuardInstall = 102;
inline constexpr uint64_t kMadvGuardRemove = 103;

}  // namespace faultline::oracle

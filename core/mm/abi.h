// SPDX-License-Identifier: Apache-2.0
//
// The numbers that programs pass to memory-management system calls on x86-64 Linux (Linux:
// include/uapi/asm-generic/mman-common.h, mman.h and linux/mman.h). Operations take them raw, as
// the kernel does, so that every wrong value can be sent and is answered as Linux would.
#pragma once

#include <cstdint>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR::abi {

inline constexpr uint64_t kProtRead = 0x1;
inline constexpr uint64_t kProtWrite = 0x2;
inline constexpr uint64_t kProtExec = 0x4;
inline constexpr uint64_t kProtSem = 0x8;
inline constexpr uint64_t kProtGrowsDown = 0x0100'0000;
inline constexpr uint64_t kProtGrowsUp = 0x0200'0000;

inline constexpr uint64_t kMapShared = 0x01;
inline constexpr uint64_t kMapPrivate = 0x02;
inline constexpr uint64_t kMapSharedValidate = 0x03;
inline constexpr uint64_t kMapDroppable = 0x08;
inline constexpr uint64_t kMapType = 0x0f;
inline constexpr uint64_t kMapFixed = 0x10;
inline constexpr uint64_t kMapAnonymous = 0x20;
inline constexpr uint64_t kMap32Bit = 0x40;
inline constexpr uint64_t kMapAbove4G = 0x80;
inline constexpr uint64_t kMapGrowsDown = 0x0100;
inline constexpr uint64_t kMapDenyWrite = 0x0800;
inline constexpr uint64_t kMapExecutable = 0x1000;
inline constexpr uint64_t kMapLocked = 0x2000;
inline constexpr uint64_t kMapNoReserve = 0x4000;
inline constexpr uint64_t kMapPopulate = 0x8000;
inline constexpr uint64_t kMapNonBlock = 0x1'0000;
inline constexpr uint64_t kMapStack = 0x2'0000;
inline constexpr uint64_t kMapHugetlb = 0x4'0000;
inline constexpr uint64_t kMapSync = 0x8'0000;
inline constexpr uint64_t kMapFixedNoReplace = 0x10'0000;

inline constexpr uint64_t kMremapMayMove = 1;
inline constexpr uint64_t kMremapFixed = 2;
inline constexpr uint64_t kMremapDontUnmap = 4;

inline constexpr uint64_t kMclCurrent = 1;
inline constexpr uint64_t kMclFuture = 2;
inline constexpr uint64_t kMclOnFault = 4;
inline constexpr uint64_t kMlockOnFault = 1;

/// madvise's advice.
enum Advice : int {
  kMadvNormal = 0,
  kMadvRandom = 1,
  kMadvSequential = 2,
  kMadvWillNeed = 3,
  kMadvDontNeed = 4,
  kMadvFree = 8,
  kMadvRemove = 9,
  kMadvDontFork = 10,
  kMadvDoFork = 11,
  kMadvMergeable = 12,
  kMadvUnmergeable = 13,
  kMadvHugePage = 14,
  kMadvNoHugePage = 15,
  kMadvDontDump = 16,
  kMadvDoDump = 17,
  kMadvWipeOnFork = 18,
  kMadvKeepOnFork = 19,
  kMadvCold = 20,
  kMadvPageOut = 21,
  kMadvPopulateRead = 22,
  kMadvPopulateWrite = 23,
  kMadvDontNeedLocked = 24,
  kMadvCollapse = 25,
  kMadvGuardInstall = 102,
  kMadvGuardRemove = 103,
};

/// si_code of the signals that a failed access raises.
inline constexpr int kSiKernel = 128;  ///< no page fault: the address is not canonical
inline constexpr int kSegvMapErr = 1;
inline constexpr int kSegvAccErr = 2;
inline constexpr int kBusAdrErr = 2;
inline constexpr int kSigBus = 7;
inline constexpr int kSigKill = 9;
inline constexpr int kSigSegv = 11;

}  // namespace faultline::inline FAULTLINE_FLAVOUR::abi

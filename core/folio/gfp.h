// SPDX-License-Identifier: Apache-2.0
//
// Gfp: how an allocation may get its frame (Linux: gfp_t, include/linux/gfp_types.h). A set of
// flags, passed in a register: what the allocation may wait for, how deep it may dig below the
// watermarks, and whether its failure is worth a word.
//
// The two that nearly everybody wants are kKernel (may sleep and reclaim) and kNowait (must not
// sleep; failing is fine). The others are made from them, for one bit each:
//
//   Gfp::kNowait | Gfp::kNomemalloc              Gfp::kKernel.Without(Gfp::kFs)
//
// Nothing of the calling task is in here: what its scopes forbid besides is in alloc_scope.h.
#pragma once

#include <cstdint>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class Gfp {
 public:
  static const Gfp kDirectReclaim;  ///< may reclaim by itself, hence sleep (__GFP_DIRECT_RECLAIM)
  static const Gfp kKswapd;         ///< wakes kswapd when memory is low (__GFP_KSWAPD_RECLAIM)
  static const Gfp kIo;             ///< reclaim may start I/O (__GFP_IO)
  static const Gfp kFs;             ///< reclaim may call into file systems (__GFP_FS)
  static const Gfp kHigh;           ///< may use a part of what lies below min (__GFP_HIGH)
  static const Gfp kMemalloc;       ///< may use all of it: frees more soon (__GFP_MEMALLOC)
  static const Gfp kNomemalloc;     ///< may not, whatever else says so (__GFP_NOMEMALLOC)
  static const Gfp kNowarn;         ///< failing is expected and not reported (__GFP_NOWARN)
  /// Is as kNowait where the task is in an RCU section: the allocator asks (policy A5).
  static const Gfp kNowaitInRcu;

  static const Gfp kKernel;  ///< GFP_KERNEL: direct reclaim, kswapd, I/O, file systems
  static const Gfp kNowait;  ///< GFP_NOWAIT: kswapd, no warning

  /// No flags: neither sleeps nor wakes anybody.
  constexpr Gfp() = default;

  /// Whether all flags of `flags` are set.
  [[nodiscard]] constexpr bool Has(Gfp flags) const { return (bits_ & flags.bits_) == flags.bits_; }
  /// This, less all flags of `flags`.
  [[nodiscard]] constexpr Gfp Without(Gfp flags) const { return Gfp(bits_ & ~flags.bits_); }
  [[nodiscard]] constexpr Gfp operator|(Gfp other) const { return Gfp(bits_ | other.bits_); }
  constexpr Gfp& operator|=(Gfp other) { return *this = *this | other; }
  friend constexpr bool operator==(Gfp, Gfp) = default;

 private:
  explicit constexpr Gfp(uint32_t bits) : bits_(bits) {}

  uint32_t bits_ = 0;
};

inline constexpr Gfp Gfp::kDirectReclaim{1u << 0};
inline constexpr Gfp Gfp::kKswapd{1u << 1};
inline constexpr Gfp Gfp::kIo{1u << 2};
inline constexpr Gfp Gfp::kFs{1u << 3};
inline constexpr Gfp Gfp::kHigh{1u << 4};
inline constexpr Gfp Gfp::kMemalloc{1u << 5};
inline constexpr Gfp Gfp::kNomemalloc{1u << 6};
inline constexpr Gfp Gfp::kNowarn{1u << 7};
inline constexpr Gfp Gfp::kNowaitInRcu{1u << 8};
inline constexpr Gfp Gfp::kKernel = kDirectReclaim | kKswapd | kIo | kFs;
inline constexpr Gfp Gfp::kNowait = kKswapd | kNowarn;

}  // namespace faultline

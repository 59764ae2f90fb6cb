// SPDX-License-Identifier: Apache-2.0
//
// What this translation unit is being built as: flavour, checks, sanitizers, cache lines.
//
// The core is compiled twice from the same sources: `native` (real threads, real atomics) and
// `modelled` (fibers under a deterministic scheduler, -DFAULTLINE_MODELLED=1). Everything in core
// lives in `namespace faultline::inline FAULTLINE_FLAVOUR`, so that user code writes
// `faultline::X`, one binary may hold both builds, and mixing them by accident fails to link.
//
// Linux analogue: include/linux/compiler_types.h, include/linux/cache.h.
// Invariant: this file includes nothing of the project; everything else may include it.

#pragma once

#include <cstddef>

/// The inline namespace of this build of the core: `native` or `modelled`.
#if defined(FAULTLINE_MODELLED)
#define FAULTLINE_FLAVOUR modelled
#else
#define FAULTLINE_FLAVOUR native
#endif

/// Inlined at every call, also in debug builds: for wrappers that must cost nothing.
#define FAULTLINE_ALWAYS_INLINE inline __attribute__((always_inline))

/// Never inlined: for slow paths that would bloat the fast path around them.
#define FAULTLINE_NOINLINE __attribute__((noinline))

/// Never inlined and laid out away from hot code: for failure paths.
#define FAULTLINE_COLD __attribute__((cold, noinline))

// GCC says it with a macro of its own, clang with __has_feature.
#if defined(__has_feature)
#define FAULTLINE_HAS_FEATURE(x) __has_feature(x)
#else
#define FAULTLINE_HAS_FEATURE(x) 0
#endif

/// 1 when built with AddressSanitizer, else 0.
#if defined(__SANITIZE_ADDRESS__) || FAULTLINE_HAS_FEATURE(address_sanitizer)
#define FAULTLINE_ASAN 1
#else
#define FAULTLINE_ASAN 0
#endif

/// 1 when built with ThreadSanitizer, else 0.
#if defined(__SANITIZE_THREAD__) || FAULTLINE_HAS_FEATURE(thread_sanitizer)
#define FAULTLINE_TSAN 1
#else
#define FAULTLINE_TSAN 0
#endif

#undef FAULTLINE_HAS_FEATURE

namespace faultline::inline FAULTLINE_FLAVOUR {

/// True in the modelled build, for `if constexpr` where a macro would be coarser than needed.
#if defined(FAULTLINE_MODELLED)
inline constexpr bool kModelled = true;
#else
inline constexpr bool kModelled = false;
#endif

/// True where expensive checks (MM_DCHECK) run: in every modelled build and in debug builds.
#if defined(FAULTLINE_MODELLED) || !defined(NDEBUG)
inline constexpr bool kDebugChecks = true;
#else
inline constexpr bool kDebugChecks = false;
#endif

inline constexpr bool kAsan = FAULTLINE_ASAN != 0;  ///< FAULTLINE_ASAN as a constant.
inline constexpr bool kTsan = FAULTLINE_TSAN != 0;  ///< FAULTLINE_TSAN as a constant.

/// Bytes that one cache line holds: the unit in which caches move and share data.
inline constexpr std::size_t kCacheLine = 64;

/// Bytes to which a written global or a per-CPU slot is padded. Two lines, not one: x86 prefetches
/// lines in adjacent pairs, so that a neighbour 64 bytes away still suffers.
inline constexpr std::size_t kCacheLinePad = 2 * kCacheLine;

}  // namespace faultline

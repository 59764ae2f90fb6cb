// SPDX-License-Identifier: Apache-2.0
//
// SourceLoc: where in the source an operation was asked for, free of charge where speed matters.
//
// The modelled build names the line of every lock, load and store in its reports, and checked
// native builds (debug, sanitizers) name those of locks in lockdep's; both wrap
// std::source_location (one pointer). The native release build has an empty struct with the same
// interface: it is passed as a defaulted last argument on hot paths and costs nothing there.
//
// Linux analogue: _RET_IP_ / _THIS_IP_, which lockdep and the trace events carry along.
// Invariant: all builds offer the same members; code that uses SourceLoc needs no #if.

#pragma once

#include <source_location>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Whether this build keeps places in the source.
inline constexpr bool kKeepsSourceLoc = kDebugChecks;

#if defined(FAULTLINE_MODELLED) || !defined(NDEBUG)

/// A place in the source. Take it as `SourceLoc loc = SourceLoc::Current()` in the last parameter.
class SourceLoc {
 public:
  /// An unknown place: line 0, empty names.
  constexpr SourceLoc() = default;

  /// The place of the call whose default argument this is.
  [[nodiscard]] static constexpr SourceLoc Current(
      std::source_location here = std::source_location::current()) noexcept {
    return SourceLoc(here);
  }

  /// Path of the file as the compiler was given it; empty when unknown.
  [[nodiscard]] constexpr const char* file() const noexcept { return here_.file_name(); }
  /// Line from 1; 0 when unknown.
  [[nodiscard]] constexpr unsigned line() const noexcept { return here_.line(); }
  /// Enclosing function, pretty-printed; empty when unknown.
  [[nodiscard]] constexpr const char* function() const noexcept { return here_.function_name(); }

 private:
  constexpr explicit SourceLoc(std::source_location here) noexcept : here_(here) {}

  std::source_location here_;
};

static_assert(sizeof(SourceLoc) <= 16);

#else

/// A place in the source that the native release build does not keep; see the one above.
class SourceLoc {
 public:
  /// Nothing to remember: the result is empty.
  [[nodiscard]] static constexpr SourceLoc Current() noexcept { return {}; }

  /// Always empty.
  [[nodiscard]] constexpr const char* file() const noexcept { return ""; }
  /// Always 0.
  [[nodiscard]] constexpr unsigned line() const noexcept { return 0; }
  /// Always empty.
  [[nodiscard]] constexpr const char* function() const noexcept { return ""; }
};

#endif

}  // namespace faultline

// SPDX-License-Identifier: Apache-2.0
//
// Modelled `Atomic<T>`: a plain word, each operation on which is one scheduling point (see
// core/sync/atomic.h for the contract). The memory orders are taken and ignored: one fiber runs at
// a time, which is sequential consistency. Outside of an execution it is just the word.
#pragma once

#include <bit>
#include <concepts>
#include <cstring>
#include <type_traits>

#include "core/base/build.h"
#include "core/base/source_loc.h"
#include "core/sync/memory_order.h"
#include "core/sync/modelled/execution.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// An integer type that arithmetic and bit operations make sense on.
template <class T>
concept AtomicInteger = std::integral<T> && !std::same_as<T, bool>;

template <class T>
class Atomic {
  // NOLINTNEXTLINE(bugprone-sizeof-expression): T may be a pointer
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);

 public:
  constexpr Atomic() noexcept : value_(T{}) {}
  explicit constexpr Atomic(T value) noexcept : value_(value) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  [[nodiscard]] T Load(std::memory_order /*order*/, SourceLoc where = SourceLoc::Current()) const {
    Before(OpKind::kLoad, where);
    Did(/*write=*/false, value_);
    return value_;
  }
  /// The value, for checks and reports only: never a scheduling point, never a basis for decisions.
  [[nodiscard]] T Peek() const { return value_; }
  void Store(T value, std::memory_order /*order*/, SourceLoc where = SourceLoc::Current()) {
    Before(OpKind::kStore, where);
    value_ = value;
    Did(/*write=*/true, value);
  }
  T Exchange(T value, std::memory_order /*order*/, SourceLoc where = SourceLoc::Current()) {
    Before(OpKind::kRmw, where);
    return Replace(value);
  }
  /// Strong compare-and-swap. On failure `expected` receives the value found.
  [[nodiscard]] bool CompareExchange(T& expected, T desired, std::memory_order /*success*/,
                                     std::memory_order /*failure*/,
                                     SourceLoc where = SourceLoc::Current()) {
    Before(OpKind::kRmw, where);
    if (Bits(value_) == Bits(expected)) {
      Replace(desired);
      return true;
    }
    expected = value_;
    Did(/*write=*/false, value_);
    return false;
  }

  T FetchAdd(T delta, std::memory_order /*order*/, SourceLoc where = SourceLoc::Current())
    requires AtomicInteger<T>
  {
    Before(OpKind::kRmw, where);
    return Replace(Wrapped(Bits(value_) + Bits(delta)));
  }
  T FetchSub(T delta, std::memory_order /*order*/, SourceLoc where = SourceLoc::Current())
    requires AtomicInteger<T>
  {
    Before(OpKind::kRmw, where);
    return Replace(Wrapped(Bits(value_) - Bits(delta)));
  }
  T FetchOr(T bits, std::memory_order /*order*/, SourceLoc where = SourceLoc::Current())
    requires AtomicInteger<T>
  {
    Before(OpKind::kRmw, where);
    return Replace(Wrapped(Bits(value_) | Bits(bits)));
  }
  T FetchAnd(T bits, std::memory_order /*order*/, SourceLoc where = SourceLoc::Current())
    requires AtomicInteger<T>
  {
    Before(OpKind::kRmw, where);
    return Replace(Wrapped(Bits(value_) & Bits(bits)));
  }

 private:
  friend class Execution;

  static uint64_t Bits(T value) {
    uint64_t bits = 0;
    // NOLINTNEXTLINE(bugprone-sizeof-expression): T may be a pointer, and its bits are meant
    std::memcpy(&bits, static_cast<const void*>(&value), sizeof(T));
    return bits;
  }
  static T Wrapped(uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
  }

  void Before(OpKind kind, SourceLoc where) const {
    if (Execution* execution = Execution::Current()) execution->PointForAccess(kind, this, where);
  }
  void Did(bool write, T value) const {
    if (Execution* execution = Execution::Current()) {
      execution->NoteAccess(this, write, Bits(value));
    }
  }
  T Replace(T value) {
    const T before = value_;
    value_ = value;
    Did(/*write=*/true, value);
    return before;
  }
  /// Sets the value between runs.
  void Reset(T value) { value_ = value; }

  T value_;
};

}  // namespace faultline

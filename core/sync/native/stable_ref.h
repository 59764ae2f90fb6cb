// SPDX-License-Identifier: Apache-2.0
//
// Native references to type-stable objects: plain pointers (see core/sync/type_stable.h and
// core/sync/speculate.h for what the modelled build checks).
#pragma once

#include "core/base/build.h"
#include "core/base/source_loc.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A pointer to an object that may be recycled.
template <class T>
class StableRef {
 public:
  constexpr StableRef() = default;
  explicit constexpr StableRef(T* slot) : slot_(slot) {}
  [[nodiscard]] explicit operator bool() const { return slot_ != nullptr; }
  [[nodiscard]] T* operator->() const { return slot_; }
  [[nodiscard]] T* get() const { return slot_; }
  /// The caller has taken a count: the object cannot be recycled until it is put.
  void Adopt() {}

 private:
  T* slot_ = nullptr;
};

/// What a slab tells about its slots; nothing in this build.
template <class T>
class SlotTracker {
 public:
  void SlotCreated(T*, SourceLoc) {}
  void SlotReused(T*) {}
  void SlotFreed(T*, SourceLoc) {}
  void SlotReleased(T*) {}
};

/// See core/sync/speculate.h.
template <class T, class Copy>
class Speculate {
 public:
  explicit Speculate(const StableRef<T>&) {}
  [[nodiscard]] Copy& draft() { return copy_; }
  [[nodiscard]] bool Validate(bool unchanged) { return unchanged; }
  void Abandon() {}
  [[nodiscard]] const Copy& value() const { return copy_; }

 private:
  Copy copy_{};
};

}  // namespace faultline

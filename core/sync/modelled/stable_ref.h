// SPDX-License-Identifier: Apache-2.0
//
// Modelled references to type-stable objects: a StableRef remembers the slot's generation and the
// RCU section it was found in, a SlotTracker tells the memory model what a slab does with its
// slots, and a Speculate scope follows its copy until it is validated (rules: memory_model.h).
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/source_loc.h"
#include "core/sync/modelled/execution.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

namespace detail {

/// The type-independent part of StableRef.
struct StableRefBase {
  void* slot = nullptr;
  size_t size = 0;
  uint32_t generation = 0;
  uint64_t section = 0;

  void Remember(void* found, size_t bytes);
  void Adopt();
};

/// Makes one expression's accesses to a slot count as made through a reference.
class RefScope {
 public:
  explicit RefScope(const StableRefBase& ref);
  ~RefScope();
  RefScope(const RefScope&) = delete;
  RefScope& operator=(const RefScope&) = delete;

 private:
  RefCursor before_;
};

/// The type-independent part of Speculate.
class SpeculationScope {
 public:
  explicit SpeculationScope(const StableRefBase& ref);
  ~SpeculationScope();
  SpeculationScope(const SpeculationScope&) = delete;
  SpeculationScope& operator=(const SpeculationScope&) = delete;
  bool Validate(bool unchanged);
  void Abandon();
  void CheckUsable() const;

 private:
  enum class State : uint8_t { kOpen, kValidated, kRefused, kAbandoned };
  void Close(State state);

  StableRefBase ref_;
  State state_ = State::kOpen;
};

void SlotCreated(void* slot, const StableFields& stable, SourceLoc where);
void SlotReused(void* slot);
void SlotFreed(void* slot, SourceLoc where);
void SlotReleased(void* slot);

}  // namespace detail

/// A pointer to an object that may be recycled.
template <class T>
class StableRef {
 public:
  /// What `ref->` yields for the length of one expression.
  class Access {
   public:
    Access(const detail::StableRefBase& ref, T* slot) : scope_(ref), slot_(slot) {}
    T* operator->() const { return slot_; }

   private:
    detail::RefScope scope_;
    T* slot_;
  };

  constexpr StableRef() = default;
  /// Remembers what the slot holds at this moment, which is the moment it was found.
  explicit StableRef(T* slot) { base_.Remember(slot, sizeof(T)); }
  [[nodiscard]] explicit operator bool() const { return base_.slot != nullptr; }
  [[nodiscard]] Access operator->() const { return Access(base_, get()); }
  [[nodiscard]] T* get() const { return static_cast<T*>(base_.slot); }
  /// The caller has taken a count: the object cannot be recycled until it is put. From here on the
  /// reference means whatever object is there now, also outside of the RCU section.
  void Adopt() { base_.Adopt(); }
  [[nodiscard]] const detail::StableRefBase& base() const { return base_; }

 private:
  detail::StableRefBase base_;
};

/// Tells the memory model about the slots of one slab.
template <class T>
class SlotTracker {
 public:
  void SlotCreated(T* slot, SourceLoc where) {
    if (stable_.spans.empty()) LearnStableFields(*slot);
    detail::SlotCreated(slot, stable_, where);
  }
  void SlotReused(T* slot) { detail::SlotReused(slot); }
  void SlotFreed(T* slot, SourceLoc where) { detail::SlotFreed(slot, where); }
  void SlotReleased(T* slot) { detail::SlotReleased(slot); }

 private:
  void LearnStableFields(T& slot) {
    slot.VisitStableFields([&](const auto& field) {
      const auto offset =
          reinterpret_cast<const std::byte*>(&field) - reinterpret_cast<const std::byte*>(&slot);
      stable_.spans.push_back({static_cast<uint32_t>(offset), uint32_t{sizeof(field)}});
    });
  }

  StableFields stable_;
};

/// See core/sync/speculate.h.
template <class T, class Copy>
class Speculate {
 public:
  explicit Speculate(const StableRef<T>& ref) : scope_(ref.base()) {}
  [[nodiscard]] Copy& draft() { return copy_; }
  /// Ends the scope; `unchanged` is what the sequence count said. Returns it.
  [[nodiscard]] bool Validate(bool unchanged) { return scope_.Validate(unchanged); }
  /// Ends the scope; the copy is worthless.
  void Abandon() { scope_.Abandon(); }
  /// The copy; only after a Validate that returned true.
  [[nodiscard]] const Copy& value() const {
    scope_.CheckUsable();
    return copy_;
  }

 private:
  Copy copy_{};
  detail::SpeculationScope scope_;
};

}  // namespace faultline

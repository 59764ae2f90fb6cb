// SPDX-License-Identifier: Apache-2.0
//
// Type-stable memory (Linux: SLAB_TYPESAFE_BY_RCU, which VMAs live in since 6.15; B15, B16, V7):
// a freed object's slot may be reused at once, even for another owner, but always for the same
// type. A reader who found a pointer under RCU may therefore touch the object's stable fields at
// any time within its section; it must take a count on the object, and then look again whose it is.
//
//   StableRef<Vma> ref(found);                 // inside the RCU section that found it
//   if (!ref->TryGet()) return retry;          // stable field: legal on a recycled slot
//   ref.Adopt();                               // pinned: from here on it is whatever it is now
//   if (ref->mm() != mm || !ref->Contains(address)) { ref->Put(); return retry; }
//
// A type says which of its fields are stable: `void VisitStableFields(auto&& visit)` calls
// `visit(field)` for each. They are initialised once per slot and keep their value over Free and
// Allocate; all other fields are garbage until their owner stores them.
// Guarantee (modelled build): any other touch through a stale reference is reported.
#pragma once

#include <utility>
#include <vector>

#include <absl/base/thread_annotations.h>

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/base/result.h"
#include "core/sync/guards.h"
#include "core/sync/heap.h"
#include "core/sync/spin_lock.h"

#ifdef FAULTLINE_MODELLED
#include "core/sync/modelled/stable_ref.h"
#else
#include "core/sync/native/stable_ref.h"
#endif

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Slots of one type-stable T. Reuses the slot freed last first, which is what makes stale pointers
/// dangerous soonest.
template <class T>
class TypeStableSlab {
 public:
  /// `heap` outlives the slab.
  explicit TypeStableSlab(Heap& heap) : heap_(heap) {}
  /// Gives the slots back. Every object is free and no reader is left. T's destructor does not run:
  /// what a free slot holds is garbage but for the stable fields.
  ~TypeStableSlab() {
    for (T* slot : slots_) {
      tracker_.SlotReleased(slot);
      heap_.Free(slot, sizeof(T), alignof(T));
    }
  }
  TypeStableSlab(const TypeStableSlab&) = delete;
  TypeStableSlab& operator=(const TypeStableSlab&) = delete;

  /// A slot: its stable fields as the last owner left them (initially as constructed), the others
  /// unspecified. ENOMEM if a new slot is needed and the heap is full.
  [[nodiscard]] Result<T*> Allocate(SourceLoc where = SourceLoc::Current())
      ABSL_LOCKS_EXCLUDED(lock_) {
    if (heap_.InjectedFailure()) return Errno::kEnomem;
    {
      const LockGuard guard(lock_, LockSubclass::kNormal, where);
      if (!free_.empty()) {
        T* slot = free_.back();
        free_.pop_back();
        tracker_.SlotReused(slot);
        return slot;
      }
    }
    const Result<T*> slot = heap_.New<T>();
    if (!slot.ok()) return slot;
    tracker_.SlotCreated(*slot, where);
    const LockGuard guard(lock_, LockSubclass::kNormal, where);
    slots_.push_back(*slot);
    return slot;
  }

  /// Makes the slot free for the next Allocate, at once. No reader holds a count.
  void Free(T* slot, SourceLoc where = SourceLoc::Current()) ABSL_LOCKS_EXCLUDED(lock_) {
    const LockGuard guard(lock_, LockSubclass::kNormal, where);
    tracker_.SlotFreed(slot, where);
    free_.push_back(slot);
  }

 private:
  Heap& heap_;
  SpinLock<LockRank::kHeap> lock_;
  std::vector<T*> slots_ ABSL_GUARDED_BY(lock_);
  std::vector<T*> free_ ABSL_GUARDED_BY(lock_);
  [[no_unique_address]] SlotTracker<T> tracker_;
};

}  // namespace faultline

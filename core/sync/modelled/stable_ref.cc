// SPDX-License-Identifier: Apache-2.0
//
// Implementation of the type-independent parts of stable_ref.h.
#include "core/sync/modelled/stable_ref.h"

#include <cstring>
#include <utility>

#include "core/base/check.h"
#include "core/sync/modelled/execution_fiber.h"

namespace faultline::inline FAULTLINE_FLAVOUR::detail {
namespace {

Piece* SlotPiece(const void* slot) {
  Execution* execution = Execution::Current();
  if (execution == nullptr || slot == nullptr) return nullptr;
  Piece* piece = execution->memory().Find(slot);
  MM_CHECK(piece != nullptr && piece->stable != nullptr);  // a reference to a slab's slot
  return piece;
}

}  // namespace

void StableRefBase::Remember(void* found, size_t bytes) {
  slot = found;
  size = bytes;
  if (const Piece* piece = SlotPiece(found)) {
    generation = piece->generation;
    section = Execution::Current()->rcu_section();
  }
}

void StableRefBase::Adopt() {
  const Piece* piece = SlotPiece(slot);
  if (piece == nullptr) return;
  if (piece->state != PieceState::kSlotLive) {
    Execution::Current()->Violate(ViolationKind::kStaleReference,
                                  "a reference to a free slot was adopted as counted\n");
  }
  generation = piece->generation;
  section = 0;
}

RefScope::RefScope(const StableRefBase& ref) {
  Execution* execution = Execution::Current();
  if (execution == nullptr) return;
  before_ = std::exchange(
      execution->current_fiber().cursor,
      RefCursor{static_cast<const std::byte*>(ref.slot), ref.size, ref.generation, ref.section});
}

RefScope::~RefScope() {
  if (Execution* execution = Execution::Current()) execution->current_fiber().cursor = before_;
}

SpeculationScope::SpeculationScope(const StableRefBase& ref) : ref_(ref) {
  if (Piece* piece = SlotPiece(ref.slot)) {
    Fiber& fiber = Execution::Current()->current_fiber();
    MM_CHECK(fiber.speculating_on == nullptr);  // one copy at a time
    fiber.speculating_on = piece;
  }
}

SpeculationScope::~SpeculationScope() {
  Execution* execution = Execution::Current();
  if (execution == nullptr || state_ != State::kOpen) return;
  execution->Violate(ViolationKind::kUnvalidatedValue,
                     "a speculative copy was neither validated nor abandoned\n");
}

void SpeculationScope::Close(State state) {
  MM_CHECK(state_ == State::kOpen);
  state_ = state;
  if (Execution* execution = Execution::Current()) {
    execution->current_fiber().speculating_on = nullptr;
  }
}

bool SpeculationScope::Validate(bool unchanged) {
  Close(unchanged ? State::kValidated : State::kRefused);
  const Piece* piece = SlotPiece(ref_.slot);
  if (unchanged && piece != nullptr &&
      (piece->generation != ref_.generation || piece->state != PieceState::kSlotLive)) {
    Execution::Current()->Violate(ViolationKind::kUnvalidatedValue,
                                  "a copy of a recycled object was validated as unchanged\n");
  }
  return unchanged;
}

void SpeculationScope::Abandon() { Close(State::kAbandoned); }

void SpeculationScope::CheckUsable() const {
  Execution* execution = Execution::Current();
  if (execution == nullptr || state_ == State::kValidated) return;
  execution->Violate(ViolationKind::kUnvalidatedValue,
                     "a value of a speculative copy was used without validation\n");
}

void SlotCreated(void* slot, const StableFields& stable, SourceLoc where) {
  Execution* execution = Execution::Current();
  if (execution == nullptr) return;
  Piece* piece = execution->memory().Find(slot);
  piece->state = PieceState::kSlotLive;
  piece->stable = &stable;
  piece->allocated_at = where;
}

void SlotReused(void* slot) {
  if (Piece* piece = SlotPiece(slot)) {
    MM_CHECK(piece->state == PieceState::kSlotFree);
    piece->state = PieceState::kSlotLive;
  }
}

/// A free slot becomes the heap's memory again, when its slab ends.
void SlotReleased(void* slot) {
  if (Piece* piece = SlotPiece(slot)) {
    MM_CHECK(piece->state == PieceState::kSlotFree);
    piece->state = PieceState::kLive;
    piece->stable = nullptr;
  }
}

void SlotFreed(void* slot, SourceLoc where) {
  Piece* piece = SlotPiece(slot);
  if (piece == nullptr) return;
  Execution* execution = Execution::Current();
  if (piece->state != PieceState::kSlotLive) {
    execution->Violate(ViolationKind::kUseAfterFree, "double free of a type-stable object\n");
  }
  execution->NoteFreed(slot, piece->size, where);
  piece->state = PieceState::kSlotFree;
  piece->freed_at = where;
  ++piece->generation;
  for (size_t i = 0; i < piece->size; ++i) {
    if (!piece->stable->Contains(i)) piece->begin[i] = MemoryModel::kPoison;
  }
}

}  // namespace faultline::inline FAULTLINE_FLAVOUR::detail

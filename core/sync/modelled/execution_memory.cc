// SPDX-License-Identifier: Apache-2.0
//
// Which memory a fiber may touch (see memory_model.h for the rules), allocation, and leaks.
#include <absl/strings/str_format.h>

#include "core/base/check.h"
#include "core/sync/modelled/execution.h"
#include "core/sync/modelled/execution_fiber.h"
#include "core/sync/modelled/report.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

void Execution::CheckTouch(OpKind kind, const void* address, SourceLoc where) {
  const Piece* piece = memory_.Find(address);
  if (piece == nullptr || piece->state == PieceState::kLive) [[likely]] {
    if (piece != nullptr && memory_.IsWild(*piece)) {
      TouchFault(ViolationKind::kUseAfterFree, "touch of memory that no heap gave out", address,
                 where);
    }
    return;
  }
  if (piece->state == PieceState::kFreed) {
    TouchFault(ViolationKind::kUseAfterFree, "touch of freed memory", address, where);
    return;
  }
  CheckSlotTouch(*piece, kind, address, where);
}

/// The rules of type-stable memory.
void Execution::CheckSlotTouch(const Piece& piece, OpKind kind, const void* address,
                               SourceLoc where) {
  const auto offset = static_cast<size_t>(static_cast<const std::byte*>(address) - piece.begin);
  const bool is_stable = piece.stable->Contains(offset);
  const RefCursor& cursor = current_->cursor;
  const bool through_reference = cursor.begin == piece.begin;
  if (through_reference && cursor.section != 0 && cursor.section != current_->rcu_section) {
    TouchFault(ViolationKind::kStaleReference,
               "a reference was used after the RCU section that it was found in", address, where);
    return;
  }
  const bool is_current = piece.state == PieceState::kSlotLive &&
                          (!through_reference || cursor.generation == piece.generation);
  const bool is_speculative_load = current_->speculating_on == &piece && kind == OpKind::kLoad;
  if (is_current || is_stable || is_speculative_load) return;
  TouchFault(ViolationKind::kStaleReference,
             piece.state == PieceState::kSlotFree
                 ? "touch of a free slot of a type-stable slab, other than its stable fields"
                 : "a stale reference: the slot was recycled for another object",
             address, where);
}

void Execution::TouchFault(ViolationKind kind, const char* what, const void* address,
                           SourceLoc where) {
  Violate(kind,
          absl::StrFormat("%s\n  task %s touches %s (%s)\n  at %s\n", what, current_task_->name(),
                          DescribeObject(address), memory_.HistoryOf(address), ShortForm(where)));
}

void* Execution::Allocate(size_t size, size_t align, SourceLoc where) {
  return memory_.Allocate(size, align, where);
}

void Execution::Free(void* pointer, size_t size, SourceLoc where) {
  NoteFreed(pointer, size, where);
  const char* problem = memory_.Free(pointer, size, where);
  if (problem == nullptr) return;
  Violate(ViolationKind::kUseAfterFree,
          absl::StrFormat("%s\n  task %s frees %s (%s)\n  at %s\n", problem, current_task_->name(),
                          DescribeObject(pointer), memory_.HistoryOf(pointer), ShortForm(where)));
}

/// A free conflicts with every access to the piece; a search that prunes must know.
void Execution::NoteFreed(const void* pointer, size_t size, SourceLoc where) {
  Note("free", pointer, where);
  if (phase_ != Phase::kFibers) return;
  const auto* begin = static_cast<const std::byte*>(pointer);
  const size_t known = accesses_.size();
  for (size_t i = 0; i < known; ++i) {
    const auto* touched = static_cast<const std::byte*>(accesses_[i].address);
    if (touched >= begin && touched < begin + size) NoteAccess(touched, /*write=*/true, 0);
  }
}

void* Execution::AllocateForScenario(size_t size, size_t align) {
  void* memory = memory_.Allocate(size, align, SourceLoc{});
  MM_CHECK(memory != nullptr);
  memory_.Find(memory)->owned_by_scenario = true;
  NameObject(memory, size, "state");
  return memory;
}

void Execution::CheckLeaks() {
  ForEachTask([this](const Task& task) {
    if (task.held.size() != 0) {
      Violate(ViolationKind::kLeak,
              absl::StrFormat("task %s ended while it held %s\n", task.name(),
                              Name(task.held[task.held.size() - 1].lock.rank)));
    }
  });
  for (const Piece& piece : memory_.pieces()) {
    const bool in_use = piece.state == PieceState::kLive || piece.state == PieceState::kSlotLive;
    if (!in_use || piece.owned_by_scenario || piece.begin == nullptr) continue;
    Violate(ViolationKind::kLeak,
            absl::StrFormat("%s was never freed (%s)\n", DescribeObject(piece.begin),
                            memory_.HistoryOf(piece.begin)));
  }
}

}  // namespace faultline

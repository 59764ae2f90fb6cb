// SPDX-License-Identifier: Apache-2.0
//
// What the modelled build knows about memory (compare Linux's KASAN): which pieces of the run's
// arena are allocated, freed, or slots of type-stable slabs, and with which generation. Freed
// memory is not reused within a run, so that every later touch can be told from a legal one.
//
// Rules for type-stable slots (DESIGN section 3): a slot has a generation that grows with each
// free; a StableRef remembers the one it saw. On the same generation every field may be touched,
// within the RCU section that found the reference. On another generation, or on a free slot, only
// the declared stable fields may, and loads inside a Speculate scope. Invariant: pieces do not
// share a 16-byte granule.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/arena.h"
#include "core/base/build.h"
#include "core/base/source_loc.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

enum class PieceState : uint8_t { kLive, kFreed, kSlotLive, kSlotFree };

/// Byte ranges, relative to a slot's start, that stay valid while the slot is free.
struct StableFields {
  struct Span {
    uint32_t offset;
    uint32_t size;
  };
  std::vector<Span> spans;

  [[nodiscard]] bool Contains(size_t offset) const {
    for (const Span& span : spans) {
      if (offset - span.offset < span.size) return true;
    }
    return false;
  }
};

/// One allocation of the run.
struct Piece {
  std::byte* begin = nullptr;
  size_t size = 0;
  PieceState state = PieceState::kLive;
  bool owned_by_scenario = false;  ///< lives until the run ends; not a leak
  uint32_t generation = 0;         ///< slots only
  const StableFields* stable = nullptr;
  SourceLoc allocated_at;
  SourceLoc freed_at;
};

class MemoryModel {
 public:
  explicit MemoryModel(size_t arena_bytes);

  [[nodiscard]] Arena& arena() { return arena_; }

  /// Forgets everything and gives the arena back; the next run gets the same addresses.
  void Reset();

  /// Takes a new piece. Null when the arena is full.
  [[nodiscard]] void* Allocate(size_t size, size_t align, SourceLoc where);
  /// Marks a live piece freed and poisons it. Null on success, else what is wrong with the call.
  [[nodiscard]] const char* Free(void* pointer, size_t size, SourceLoc where);

  /// The piece that `address` lies in, or null if it lies in none (outside the arena, say).
  [[nodiscard]] Piece* Find(const void* address) {
    const size_t offset = static_cast<size_t>(static_cast<const std::byte*>(address) - base_);
    if (offset >= arena_.used()) return nullptr;
    return &pieces_[owner_[offset / kGranule]];
  }
  /// Whether `address` lies in the arena but in no piece.
  [[nodiscard]] bool IsWild(const Piece& piece) const { return &piece == pieces_.data(); }

  [[nodiscard]] const std::vector<Piece>& pieces() const { return pieces_; }
  /// "Node#3+0x10", or "" if it lies in none.
  [[nodiscard]] std::string NameOf(const void* address);
  /// "64 bytes, freed at file:line", with where it was allocated if its name does not tell, or ""
  /// if it lies in none.
  [[nodiscard]] std::string HistoryOf(const void* address);

  static constexpr std::byte kPoison{0xdd};

 private:
  static constexpr size_t kGranule = 16;

  Arena arena_;
  const std::byte* base_ = nullptr;
  std::vector<Piece> pieces_;    // [0] stands for arena memory that is in no piece
  std::vector<uint32_t> owner_;  // per granule: index into pieces_
};

}  // namespace faultline

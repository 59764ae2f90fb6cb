// SPDX-License-Identifier: Apache-2.0
//
// Implementation of memory_model.h.
#include "core/sync/modelled/memory_model.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <absl/strings/str_format.h>

#include "core/base/check.h"
#include "core/sync/modelled/report.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

Arena MakeArena(size_t bytes) {
  // A fixed place, where it is free: addresses then repeat between processes, too.
  constexpr uintptr_t kHint = 0x5f00'0000'0000;
  Result<Arena> arena = Arena::Create(bytes, kHint);
  MM_CHECK(arena.ok());
  return std::move(*arena);
}

/// The type that Heap::New was asked for, read off the name of the function that allocated; "piece"
/// if that does not tell.
std::string_view TypeNameOf(const Piece& piece) {
  std::string_view name = piece.allocated_at.function();
  const size_t begin = name.find("T = ");
  if (begin == std::string_view::npos) return "piece";
  name.remove_prefix(begin + 4);
  name = name.substr(0, name.find_first_of(";,]"));
  const size_t scope = name.rfind("::");
  return scope == std::string_view::npos ? name : name.substr(scope + 2);
}

}  // namespace

MemoryModel::MemoryModel(size_t arena_bytes) : arena_(MakeArena(arena_bytes)) {
  void* probe = *arena_.Allocate(kGranule, kGranule);
  base_ = static_cast<const std::byte*>(probe);
  pieces_.resize(1);
  Reset();
}

void MemoryModel::Reset() {
  arena_.Reset();
  pieces_.resize(1);
  owner_.clear();
}

void* MemoryModel::Allocate(size_t size, size_t align, SourceLoc where) {
  const size_t rounded = (size + kGranule - 1) / kGranule * kGranule;
  const Result<void*> memory = arena_.Allocate(rounded, std::max(align, kGranule));
  if (!memory.ok()) return nullptr;
  auto* begin = static_cast<std::byte*>(*memory);
  const auto first = static_cast<size_t>(begin - base_) / kGranule;
  owner_.resize(first, 0);  // a gap of alignment belongs to no piece
  owner_.resize(first + rounded / kGranule, static_cast<uint32_t>(pieces_.size()));
  Piece& piece = pieces_.emplace_back();
  piece.begin = begin;
  piece.size = size;
  piece.allocated_at = where;
  return begin;
}

const char* MemoryModel::Free(void* pointer, size_t size, SourceLoc where) {
  Piece* piece = Find(pointer);
  if (piece == nullptr || IsWild(*piece)) return "free of memory that no heap gave out";
  if (piece->begin != pointer) return "free of a pointer into the middle of a piece";
  if (piece->state == PieceState::kFreed) return "double free";
  if (piece->state != PieceState::kLive) return "a slab's slot was given to the heap";
  if (piece->size != size) return "free with another size than allocated";
  piece->state = PieceState::kFreed;
  piece->freed_at = where;
  std::memset(pointer, static_cast<int>(kPoison), size);
  return nullptr;
}

std::string MemoryModel::NameOf(const void* address) {
  const Piece* piece = Find(address);
  if (piece == nullptr) return "";
  if (IsWild(*piece)) return absl::StrFormat("arena+0x%x", arena_.OffsetOf(address));
  const auto offset = static_cast<const std::byte*>(address) - piece->begin;
  const std::string name = absl::StrFormat("%s#%d", TypeNameOf(*piece), piece - pieces_.data());
  return offset == 0 ? name : absl::StrFormat("%s+0x%x", name, offset);
}

std::string MemoryModel::HistoryOf(const void* address) {
  const Piece* piece = Find(address);
  if (piece == nullptr || IsWild(*piece)) return "";
  std::string text = absl::StrFormat("%d bytes", piece->size);
  const bool name_tells = TypeNameOf(*piece) != "piece" || piece->allocated_at.line() == 0;
  if (!name_tells) text += ", allocated at " + ShortForm(piece->allocated_at);
  if (piece->freed_at.line() != 0) text += ", freed at " + ShortForm(piece->freed_at);
  return text;
}

}  // namespace faultline

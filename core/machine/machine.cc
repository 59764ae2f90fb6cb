// SPDX-License-Identifier: Apache-2.0
//
// The parts of a Machine, in the order in which they need each other; see machine.h.
#include "core/machine/machine.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <absl/container/flat_hash_map.h>
#include <absl/strings/str_format.h>

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

std::optional<std::string> OutOfRange(std::string_view field, uint64_t value, uint64_t least,
                                      uint64_t most) {
  if (least <= value && value <= most) return std::nullopt;
  return absl::StrFormat("%s: %u is out of range; allowed: %u to %u", field, value, least, most);
}

}  // namespace

std::optional<std::string> WhyRefused(const MachineOptions& options) {
  using Range = MachineOptions;
  if (auto why = OutOfRange("memory_bytes", options.memory_bytes, Range::kLeastMemory,
                            Range::kMostMemory)) {
    return why;
  }
  if (auto why = OutOfRange("object_bytes", options.object_bytes, Range::kLeastObjects,
                            Range::kMostMemory)) {
    return why;
  }
  if (auto why = OutOfRange("cpus", options.cpus, 1, FrameAllocator::kMaxCpus)) return why;
  if (options.contents != PageContents::kTag && options.contents != PageContents::kBytes) {
    return absl::StrFormat("contents: %u is no kind of contents; allowed: tag, bytes",
                           static_cast<unsigned>(options.contents));
  }
  // But for the zero page.
  return WhyRefused(options.watermarks(), (options.memory_bytes >> kPageShift) - 1);
}

Machine::Machine(const MachineOptions& options, std::unique_ptr<OwnHeap> own_heap, Heap& heap)
    : own_heap_(std::move(own_heap)),
      heap_(heap),
      cpus_(options.cpus),
      tlbs_(cpus_),
      vmas_(heap_),
      anon_vmas_(heap_) {
  heap_.SetFailPoints(&fail_points_);
}

Result<std::unique_ptr<Machine>> Machine::Create(const MachineOptions& options) {
  if (WhyRefused(options).has_value()) return Errno::kEinval;
  MM_ASSIGN_OR_RETURN(Arena arena, Arena::Create(options.object_bytes));
  auto own_heap = std::make_unique<OwnHeap>(std::move(arena));
  Heap& heap = own_heap->heap;
  std::unique_ptr<Machine> machine(new Machine(options, std::move(own_heap), heap));
  MM_TRY(machine->Init(options));
  return machine;
}

Result<Machine*> Machine::CreateIn(Heap& heap, const MachineOptions& options) {
  if (WhyRefused(options).has_value()) return Errno::kEinval;
  MM_ASSIGN_OR_RETURN(Machine* const machine, heap.New<Machine>(options, nullptr, heap));
  const Result<void> ready = machine->Init(options);
  if (ready.ok()) return machine;
  heap.Delete(machine);
  return ready.error();
}

Result<void> Machine::Init(const MachineOptions& options) {
  MM_ASSIGN_OR_RETURN(frames_, FrameAllocator::Create({.frames = options.memory_bytes >> kPageShift,
                                                       .contents = options.contents,
                                                       .min_free_frames = options.min_free_frames,
                                                       .watermark_scale = options.watermark_scale},
                                                      heap_, cpus_));
  frames_->SetFailPoints(&fail_points_);
  return {};
}

Machine::~Machine() {
  fail_points_.Disarm();
  // Tables, anon_vmas, Mappings and tree nodes may be waiting for readers that are gone.
  Rcu::Barrier();
  MM_DCHECK_EQ(anon_vmas_.count(), 0u);
  heap_.SetFailPoints(nullptr);  // a caller's heap outlives them
}

void Machine::Validate() {
  if constexpr (!kModelled) Rcu::Barrier();
  absl::flat_hash_map<const Folio*, int32_t> mappings;
  for (Mm* mm : mms_.Snapshot()) {
    mm->Validate();
    mm->ForEachMappedFolio([&](const Folio& folio) { ++mappings[&folio]; });
  }
  for (const auto& [folio, count] : mappings) {
    MM_CHECK_EQ(folio->mapcount(), count);
    const uint32_t in_index = folio->use() == FrameUse::kFile ? 1 : 0;
    MM_CHECK_EQ(folio->refcount(), static_cast<uint32_t>(count) + in_index);
  }
  frames_->Validate();
}

Result<Mm*> Machine::CreateMm(const MmOptions& options) {
  return Mm::Create({.frames = *frames_,
                     .heap = heap_,
                     .cpus = cpus_,
                     .tlbs = tlbs_,
                     .vmas = vmas_,
                     .anon_vmas = anon_vmas_,
                     .next_address_tag = next_address_tag_,
                     .next_inode = next_inode_,
                     .mms = mms_},
                    options);
}

Result<Mapping*> Machine::CreateFile(std::string name, uint64_t bytes) {
  const uint64_t inode = next_inode_.FetchAdd(1, kRelaxed);  // relaxed: only a name
  return Mapping::Create(
      {.kind = Mapping::Kind::kFile, .name = std::move(name), .inode = inode, .bytes = bytes},
      *frames_, heap_);
}

}  // namespace faultline

// SPDX-License-Identifier: Apache-2.0
//
// Machine: the composition root (DESIGN sections 2 and 5). Memory, CPUs with their TLBs, and what
// all mms share, put together once and passed down by reference; there is no other global state.
//
// Mms and Mappings belong to their users and are gone before their Machine is; the Machine then
// waits for the grace periods that are still under way. Invariant at its end: every frame is free,
// no anon_vma is left.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/base/arena.h"
#include "core/base/build.h"
#include "core/base/result.h"
#include "core/mm/mm.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct MachineOptions {
  static constexpr uint64_t kLeastMemory = 64 << 10;
  static constexpr uint64_t kMostMemory = 1ull << 47;  ///< as much as a host process has
  static constexpr uint64_t kLeastObjects = 1 << 20;

  /// Of simulated memory; what is no whole frame is left out. kLeastMemory to kMostMemory.
  uint64_t memory_bytes = 1ull << 30;
  /// Address space for VMAs, tree nodes, ...; not reserved. kLeastObjects to kMostMemory.
  uint64_t object_bytes = 16ull << 30;
  uint32_t cpus = 4;  ///< 1 to FrameAllocator::kMaxCpus
  PageContents contents = PageContents::kTag;
  /// The min watermark, in frames (Linux: vm.min_free_kbytes); 0: no watermarks. The high one that
  /// follows from it (core/folio/watermarks.h) is below what there is.
  uint64_t min_free_frames = 0;
  /// Ten-thousandths of memory between two watermarks, if that is more than a quarter of min
  /// (Linux: vm.watermark_scale_factor); 1 to 3000.
  uint32_t watermark_scale = Watermarks::kDefaultScale;

  [[nodiscard]] WatermarkOptions watermarks() const {
    return {.min_free_frames = min_free_frames, .watermark_scale = watermark_scale};
  }
};

/// Why no machine can be set up so, naming the field, its value and what is allowed; nothing if one
/// can.
[[nodiscard]] std::optional<std::string> WhyRefused(const MachineOptions& options);

class Machine {
 public:
  /// EINVAL if WhyRefused(options), which says why; ENOMEM if the host refuses the address space.
  [[nodiscard]] static Result<std::unique_ptr<Machine>> Create(const MachineOptions& options);
  /// The same, with itself and all that it makes in `heap`, which outlives it; Heap::Delete takes
  /// it back. For the explorer, where a run's objects have to come from the run's heap: their
  /// addresses repeat then, and leaks and late touches are noticed. `object_bytes` does not count.
  [[nodiscard]] static Result<Machine*> CreateIn(Heap& heap, const MachineOptions& options);
  /// Every mm is torn down and every Mapping put.
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// A new, empty mm with one user, the caller.
  [[nodiscard]] Result<Mm*> CreateMm(const MmOptions& options = {});
  /// A file's cache with one reference, the caller's.
  [[nodiscard]] Result<Mapping*> CreateFile(std::string name, uint64_t bytes);

  /// Mms that are not torn down.
  [[nodiscard]] uint64_t mm_count() { return mms_.size(); }

  /// How the faults of all its mms fared, those that have exited included: since the last reset.
  [[nodiscard]] FaultStatsSnapshot FaultStatistics() { return mms_.FaultStatistics(); }
  /// The same since the machine was made.
  [[nodiscard]] FaultStatsSnapshot FaultTotals() { return mms_.FaultTotals(); }
  /// Starts FaultStatistics at zero, and that of all its mms, and returns what it was. A fault that
  /// ends meanwhile counts on one side of it.
  FaultStatsSnapshot ResetFaultStatistics() { return mms_.ResetFaultStatistics(); }
  /// The sum of a counter of all mms that exist.
  [[nodiscard]] int64_t Sum(MmCounter counter) { return mms_.Sum(counter); }

  /// Changes the watermarks while allocations go on; MachineOptions has the fields. EINVAL if
  /// WhyRefused(options, frames().total_frames()), which says why.
  [[nodiscard]] Result<void> SetWatermarks(const WatermarkOptions& options) {
    return frames_->SetWatermarks(options);
  }

  /// Who is told that frames are short, and asked for some; null: nobody. Not owned. Set while
  /// nobody allocates, and taken back before `hook` ends.
  void SetPressureHook(PressureHook* hook) { frames_->SetPressureHook(hook); }

  /// Aborts if an invariant does not hold: of any mm (Mm::Validate), of the frames' lists, or that
  /// every frame is mapped as often as its mapcount says and has a reference for each mapping and
  /// for its Mapping's index. Nobody uses the machine meanwhile, RCU's callbacks included, which it
  /// waits for where they run by themselves (native).
  void Validate();

  [[nodiscard]] FrameAllocator& frames() { return *frames_; }
  [[nodiscard]] Heap& heap() { return heap_; }
  [[nodiscard]] CpuSet& cpus() { return cpus_; }
  [[nodiscard]] TlbSet& tlbs() { return tlbs_; }
  [[nodiscard]] AnonVmas& anon_vmas() { return anon_vmas_; }
  [[nodiscard]] FailPoints& fail_points() { return fail_points_; }

 private:
  friend class Heap;  // makes it, for CreateIn

  /// Objects in memory of their own, and how long that lives.
  struct OwnHeap {
    explicit OwnHeap(Arena memory) : arena(std::move(memory)), heap(arena) {}
    Arena arena;
    Heap heap;
  };
  Machine(const MachineOptions& options, std::unique_ptr<OwnHeap> own_heap, Heap& heap);
  [[nodiscard]] Result<void> Init(const MachineOptions& options);

  const std::unique_ptr<OwnHeap> own_heap_;  ///< null if the heap is the caller's
  FailPoints fail_points_;
  Heap& heap_;
  CpuSet cpus_;
  FrameAllocator::Ptr frames_;
  TlbSet tlbs_;
  VmaSlab vmas_;
  AnonVmas anon_vmas_;
  MmList mms_;
  Atomic<uint64_t> next_address_tag_{0};
  Atomic<uint64_t> next_inode_{1};
};

}  // namespace faultline

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
#include <string>

#include "core/base/arena.h"
#include "core/base/build.h"
#include "core/base/result.h"
#include "core/mm/mm.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct MachineOptions {
  uint64_t memory_bytes = 1ull << 30;   ///< of simulated memory; at least 64 KiB
  uint64_t object_bytes = 16ull << 30;  ///< address space for VMAs, tree nodes, ...; not reserved
  uint32_t cpus = 4;                    ///< at least 1
  PageContents contents = PageContents::kTag;
};

class Machine {
 public:
  /// EINVAL if an option is out of its range, ENOMEM if the host refuses the address space.
  [[nodiscard]] static Result<std::unique_ptr<Machine>> Create(const MachineOptions& options);
  /// Every mm is torn down and every Mapping put.
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// A new, empty mm with one user, the caller.
  [[nodiscard]] Result<Mm*> CreateMm(const MmOptions& options = {});
  /// A file's cache with one reference, the caller's.
  [[nodiscard]] Result<Mapping*> CreateFile(std::string name, uint64_t bytes);

  /// Aborts if an invariant does not hold: of any mm (Mm::Validate), of the frames' lists, or that
  /// every frame is mapped as often as its mapcount says and has a reference for each mapping and
  /// for its Mapping's index. Nobody uses the machine meanwhile.
  void Validate();

  [[nodiscard]] FrameAllocator& frames() { return *frames_; }
  [[nodiscard]] Heap& heap() { return heap_; }
  [[nodiscard]] CpuSet& cpus() { return cpus_; }
  [[nodiscard]] TlbSet& tlbs() { return tlbs_; }
  [[nodiscard]] AnonVmas& anon_vmas() { return anon_vmas_; }
  [[nodiscard]] FailPoints& fail_points() { return fail_points_; }

 private:
  Machine(const MachineOptions& options, Arena arena);

  Arena arena_;
  FailPoints fail_points_;
  Heap heap_;
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

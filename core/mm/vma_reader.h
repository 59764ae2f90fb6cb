// SPDX-License-Identifier: Apache-2.0
//
// VmaReader: one VMA held for reading without mmap_lock, for operations of an mm (Linux:
// try_vma_read_lock in mm/madvise.c; B3, B23). What is held is what faults of the mm's scheme hold:
// the VMA's count or its rwsem. Schemes whose faults have no lock on the VMA have none here.
//
// Protocol: a reader of a kind for which writers have a duty is waited for by their Mark, so the
// duties of the scheme say which kind there is. While it holds, mmap_lock may only be tried (B4).
// Guarantee: what it holds is in the tree, contains the address, and does not change.
#pragma once

#include "core/base/build.h"
#include "core/base/types.h"
#include "core/fault/fault.h"
#include "core/vma/vma.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class [[nodiscard]] VmaReader {
 public:
  /// Tries; waits for nobody. No mmap_lock need be held. `target` outlives it.
  VmaReader(FaultTarget& target, VirtAddr addr);
  ~VmaReader() {
    if (vma_ != nullptr) Unlock();
  }
  VmaReader(const VmaReader&) = delete;
  VmaReader& operator=(const VmaReader&) = delete;

  /// Null: it does not hold, perhaps without cause, and mmap_lock has to be taken instead.
  [[nodiscard]] Vma* vma() const { return vma_; }

 private:
  void Unlock();

  FaultTarget& target_;
  Vma* vma_ = nullptr;
};

}  // namespace faultline

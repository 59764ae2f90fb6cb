// SPDX-License-Identifier: Apache-2.0
//
// Which lock a VmaReader takes; see vma_reader.h.
//
// The duties are the scheme's alone and not those that MmOptions adds for tests: which lock an
// operation takes is part of what schemes are compared for. Nor does it count as a fault: Linux
// adds its tries to ABORT and MISS (B17), which here are about faults alone.
#include "core/mm/vma_reader.h"

#include "core/fault/scheme_table.h"
#include "core/vma/vma_refcnt.h"
#include "core/vma/vma_rwsem.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

VmaReader::VmaReader(FaultTarget& target, VirtAddr addr) : target_(target) {
  const WriteDuties duties = InfoOf(target.options.scheme).duties;
  uint32_t misses = 0;
  if ((duties & kDutyDrainCounts) != 0) {
    vma_ = VmaRefcnt::Lock(target.tree, target.mm, addr, misses).vma;
  } else if ((duties & (kDutyPassRwsem | kDutyHoldRwsem)) != 0) {
    const RwsemForm form =
        (duties & kDutyPassRwsem) != 0 ? RwsemForm::kWithSequence : RwsemForm::kHeldBySection;
    vma_ = VmaRwsem::Lock(target.tree, target.mm, addr, form, misses).vma;
  }
}

void VmaReader::Unlock() {
  if ((InfoOf(target_.options.scheme).duties & kDutyDrainCounts) != 0) {
    VmaRefcnt::Unlock(*vma_, target_.mm);
  } else {
    VmaRwsem::Unlock(*vma_);
  }
}

}  // namespace faultline

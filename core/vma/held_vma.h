// SPDX-License-Identifier: Apache-2.0
//
// HeldVma: what a lookup that takes a VMA's own lock or count answers, whichever of the two it is
// (Linux: lock_vma_under_rcu, which says NULL and keeps the reason to itself).
//
// Invariant: either there is a VMA, which the caller ends holding by the Unlock of the class that
// it asked, or a reason that is not kNone.
#pragma once

#include "core/base/build.h"
#include "core/observe/fault_reasons.h"
#include "core/vma/vma.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A VMA found and held for reading, or why not.
struct HeldVma {
  Vma* vma = nullptr;
  LeaveReason reason = LeaveReason::kNone;
};

}  // namespace faultline

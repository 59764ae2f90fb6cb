// SPDX-License-Identifier: Apache-2.0
//
// What a fault does between two tries of its top rung; see ladder.h. No lock is held.
#include "core/fault/ladder.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool PrepareRetry(FaultTarget& target, LeaveReason reason) {
  if (NoWaitScope::IsInForce()) return false;
  if (reason != LeaveReason::kNoTable && reason != LeaveReason::kNoPage) return false;
  switch (target.options.pgtable_alloc) {
    case TableAlloc::kPreallocAll:
    case TableAlloc::kPreallocMissing:
      return reason == LeaveReason::kNoTable;  // what is missing now is allocated ahead next time
    case TableAlloc::kNowaitReclaimRetry: {
      // A fruitless reclaim leaves it to the rungs below. If they fare well, somebody else freed.
      const bool reclaimed = target.frames.Reclaim(Gfp::kKernel) != 0;
      target.stats.Count(reclaimed ? FaultCounter::kReclaimRetries
                                   : FaultCounter::kFruitlessReclaims);
      return reclaimed;
    }
    default:
      return false;
  }
}

}  // namespace faultline

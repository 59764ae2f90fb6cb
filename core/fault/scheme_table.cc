// SPDX-License-Identifier: Apache-2.0
//
// The rows of scheme_table.h. Each scheme's code is instantiated in its own source.
#include "core/fault/scheme_table.h"

#include <array>
#include <cstddef>

#include "core/base/check.h"
#include "core/fault/schemes/mmap_lock.h"
#include "core/fault/schemes/rcu_continue.h"
#include "core/fault/schemes/rcu_restart.h"
#include "core/fault/schemes/spf_mm_seq.h"
#include "core/fault/schemes/spf_vma_seq.h"
#include "core/fault/schemes/vma_lock.h"
#include "core/fault/schemes/vma_refcnt.h"
#include "core/fault/schemes/vma_rwsem.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

template <FaultScheme S>
FaultOutcome Fault(FaultTarget& target, const FaultRequest& request, FaultEventScope& event);

namespace {

/// Adds the scheme's rung and those below it.
template <class S>
void AddRungs(FaultRungSet& rungs) {
  rungs.Add(typename S::Hold().rung);
  if constexpr (!kIsLastRung<S>) AddRungs<typename S::Fallback>(rungs);
}

template <FaultScheme S>
FaultRungSet AllRungs() {
  FaultRungSet rungs;
  AddRungs<S>(rungs);
  return rungs;
}

template <FaultScheme S>
constexpr SchemeRow Row() {
  return {S::kInfo, &Fault<S>, &AllRungs<S>};
}

constexpr std::array kTable = {
    Row<MmapLockScheme>(),   Row<VmaRwsemScheme>(),    Row<VmaLockScheme>(),
    Row<VmaRefcntScheme>(),  Row<SpfMmSeqScheme>(),    Row<SpfVmaSeqScheme>(),
    Row<RcuRestartScheme>(), Row<RcuContinueScheme>(),
};

consteval bool IsInOrder() {
  for (size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<size_t>(kTable[i].info.scheme) != i) return false;
  }
  return kTable.size() == static_cast<size_t>(SchemeName::kCount);
}
static_assert(IsInOrder(), "kTable must list the schemes in the enum's order");

}  // namespace

std::span<const SchemeRow> SchemeTable() { return kTable; }

const SchemeInfo& InfoOf(SchemeName scheme) {
  const auto index = static_cast<size_t>(scheme);
  MM_CHECK_LT(index, kTable.size());
  return kTable[index].info;
}

FaultRungSet RungsOf(SchemeName scheme) {
  const auto index = static_cast<size_t>(scheme);
  MM_CHECK_LT(index, kTable.size());
  return kTable[index].rungs();
}

FaultFunction FaultFunctionOf(SchemeName scheme) {
  return kTable[static_cast<size_t>(scheme)].fault;
}

WriteDuties DutiesOf(const FaultOptions& options) {
  const WriteDuties duties = InfoOf(options.scheme).duties;
  const bool validates = (duties & kDutyAskHoles) != 0;
  const bool awaits = options.guard == FaultGuard::kGracePeriodBeforeZap;
  return validates && awaits ? duties | kDutyGracePeriod : duties;
}

}  // namespace faultline

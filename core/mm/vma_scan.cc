// SPDX-License-Identifier: Apache-2.0
//
// The three ways to look at the next VMA; see vma_scan.h.
//
// How a copy is checked. Schemes whose faults copy VMAs have a sequence that is odd while one is
// marked; the others do not, yet their writers, too, store the section's number in each VMA that
// they mark, before they change it, and move its sequence when it is attached or detached. So for
// every scheme: a VMA that is attached, ours, and not marked by a section under way is in the tree
// with the fields that it shows; and as long as neither its sequence nor its lock sequence has
// moved, nobody has marked it since, and it is still that VMA. Unlike the sequence of the mm, which
// the scheme spf_mm_seq compares, this does not fail because of writers elsewhere.
#include "core/mm/vma_scan.h"

#include <algorithm>

#include "core/base/mutant.h"
#include "core/mm/vma_reader.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// So often a copy that did not validate is tried again before the VMA is locked.
constexpr int kCopyTries = 3;

/// A VMA found in an RCU section, and what tells whether it changed since.
class VmaWatch {
 public:
  explicit VmaWatch(Vma& found) : sequence_(StableRef<Vma>(&found)->sequence()), ref_(&found) {
    // From here on the reference means what the slot was when the sequence was read.
    lock_sequence_ = ref_->lock_sequence();
  }

  /// Whether it is a VMA of `mm` that nobody is changing. The lock sequence was loaded first: a mm
  /// whose sequence has passed it has ended that section, and what it changed is seen.
  [[nodiscard]] bool IsSettled(const VmaOwner& mm) const {
    return (sequence_ & 1) == 0 && lock_sequence_ != mm.sequence().value() &&
           !ref_->is_detached() && ref_->owner() == &mm;
  }
  /// Copies it; nothing if it changed meanwhile.
  [[nodiscard]] std::optional<VmaView> Copy() const {
    Speculate<Vma, VmaView> copy(ref_);
    copy.draft().CopyFrom(ref_);
    if (!copy.Validate(IsCurrent())) return std::nullopt;
    return copy.value();
  }
  [[nodiscard]] bool IsCurrent() const {
    SeqCount::ReadFence();  // what was read from the VMA comes before
    return ref_->sequence() == sequence_ && ref_->lock_sequence() == lock_sequence_;
  }

 private:
  const uint64_t sequence_;
  const StableRef<Vma> ref_;
  uint64_t lock_sequence_ = 0;
};

bool Always() { return true; }

}  // namespace

VmaScan::VmaScan(Mm& mm, ReadMode mode) : mm_(mm), target_(mm.fault_target_), mode_(mode) {}

Result<bool> VmaScan::Next(VirtAddr from, Use use) {
  if (mode_ == ReadMode::kWholeLock) return NextUnderMmapLock(from, use);
  Look look = Look::kContended;
  if (mode_ == ReadMode::kRcu) {
    for (int i = 0; i < kCopyTries && look == Look::kContended; ++i) look = LookByCopy(from, use);
  }
  if (look == Look::kContended) look = LookByLock(from, use);
  if (look != Look::kContended) return look == Look::kDone;
  const Result<bool> found = NextUnderMmapLock(from, use);
  whole_.reset();
  return found;
}

Result<bool> VmaScan::NextUnderMmapLock(VirtAddr from, Use use) {
  if (!whole_.has_value()) whole_.emplace(mm_, held_ns_);
  if (!whole_->reader.held()) return Errno::kEintr;
  const Vma* const vma = whole_->reader.FindFrom(from);
  if (vma == nullptr) return false;
  VmaView copy;
  copy.CopyFrom(vma);
  const bool used = use(copy, Always);
  MM_DCHECK(used);
  return used;
}

VmaScan::Look VmaScan::LookByLock(VirtAddr from, Use use) {
  const std::optional<VirtAddr> addr = AddressOfNext(from);
  if (!addr.has_value()) return Look::kNothingThere;
  const VmaReader reader(target_, *addr);
  if (reader.vma() == nullptr) return Look::kContended;
  const HoldTime time(held_ns_);
  VmaView copy;
  copy.CopyFrom(reader.vma());
  return use(copy, Always) ? Look::kDone : Look::kContended;
}

VmaScan::Look VmaScan::LookByCopy(VirtAddr from, Use use) const {
  const RcuGuard section;
  const MapleTree::Entry entry = target_.tree.FindFrom(from.value());
  if (entry.value == nullptr) return Look::kNothingThere;
  const VmaWatch watch(*static_cast<Vma*>(entry.value));
  if (!watch.IsSettled(target_.mm)) return Look::kContended;
  const std::optional<VmaView> copy = watch.Copy();
  if (!copy.has_value()) return Look::kContended;
  const VirtAddr addr = std::max(from, VirtAddr(entry.first));
  // It may have been split or moved since it was found.
  if (!copy->Contains(addr) && !(MutantOn(Mutant::kMapsForgetRange) && copy->end > from)) {
    return Look::kContended;
  }
  return use(*copy, [&] { return watch.IsCurrent(); }) ? Look::kDone : Look::kContended;
}

/// The first address from `from` on that is mapped now.
std::optional<VirtAddr> VmaScan::AddressOfNext(VirtAddr from) const {
  const RcuGuard section;
  const MapleTree::Entry entry = target_.tree.FindFrom(from.value());
  if (entry.value == nullptr) return std::nullopt;
  return std::max(from, VirtAddr(entry.first));
}

bool VmaScan::HasNext(VirtAddr from) const { return AddressOfNext(from).has_value(); }

Result<void> VmaScan::LetOthersIn() {
  if (!whole_.has_value() || !whole_->reader.IsContended()) return {};
  whole_.reset();
  whole_.emplace(mm_, held_ns_);
  if (!whole_->reader.held()) return Errno::kEintr;
  return {};
}

uint64_t VmaScan::End() {
  whole_.reset();
  return held_ns_;
}

}  // namespace faultline

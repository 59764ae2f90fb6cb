// SPDX-License-Identifier: Apache-2.0
//
// The life of anon_vmas and of the chains to them; see anon_vma.h. The rules are those of Linux's
// __anon_vma_prepare, anon_vma_clone, anon_vma_fork and unlink_anon_vmas.
//
// Every change of a list or count is made under the root's lock held for writing. References, which
// say when memory goes, are dropped after it, since the lock is in that memory.
// Invariant: the order of a VMA's chains is youngest anon_vma first, and clones keep it.
#include "core/rmap/anon_vma.h"

#include <utility>

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// The lock of an anon_vma's tree, held for write; in a NoWaitScope only if it is to be had at
/// once: tasks of other mms may have it, for a child's VMAs.
class [[nodiscard]] PreparingHold {
 public:
  explicit PreparingHold(RwSem<LockRank::kAnonVma>& lock)
      ABSL_NO_THREAD_SAFETY_ANALYSIS  // conditional, for this object's life; NoWaitTest
      : lock_(lock) {
    if (CurrentTask().no_wait == 0) {
      lock.Lock();
      held_ = true;
    } else {
      held_ = lock.TryLock();
    }
  }
  ~PreparingHold() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (held_) lock_.Unlock();
  }
  PreparingHold(const PreparingHold&) = delete;
  PreparingHold& operator=(const PreparingHold&) = delete;
  [[nodiscard]] bool held() const { return held_; }

 private:
  RwSem<LockRank::kAnonVma>& lock_;
  bool held_ = false;
};

}  // namespace

// -- Prepare --------------------------------------------------------------------------------------

Result<void> AnonVmas::Prepare(Vma& vma, AnonVma* reusable,
                               SpinLock<LockRank::kPageTable>& page_table_lock) {
  Chains spare;
  MM_TRY(NewChains(spare, 1));
  AnonVma* anon_vma = reusable;
  if (anon_vma == nullptr) {
    const Result<AnonVma*> fresh = NewAnonVma();
    if (!fresh.ok()) {
      DeleteChains(spare);
      return fresh.error();
    }
    anon_vma = *fresh;
  }
  MM_DCHECK(anon_vma->root_ == anon_vma);
  bool is_first = false;
  bool held = false;
  {
    const PreparingHold guard(anon_vma->lock());
    held = guard.held();
    // Two faults of one VMA may come with a new anon_vma each, so with different locks.
    const LockGuard decides(page_table_lock);
    if (held && vma.anon_vma() == nullptr) {
      is_first = true;
      vma.SetAnonVma(anon_vma);
      LinkLocked(vma, *anon_vma, *spare.pop_front());
      ++anon_vma->num_active_vmas_;
    }
  }
  if (is_first) return Ok();
  DeleteChains(spare);
  if (reusable == nullptr) Put(*anon_vma);
  if (!held) return Errno::kEagain;
  return Ok();
}

// -- Clone and Fork -------------------------------------------------------------------------------

Result<void> AnonVmas::Clone(Vma& to, Vma& from, Reuse reuse) {
  MM_DCHECK(to.anon_vma_chains().empty());
  MM_DCHECK(to.anon_vma() == nullptr || to.anon_vma() == from.anon_vma());
  Chains& chains = from.anon_vma_chains();
  if (chains.empty()) return Ok();
  Chains spare;
  size_t needed = 0;
  for ([[maybe_unused]] const AnonVmaChain& chain : chains) ++needed;
  if (const Result<void> made = NewChains(spare, needed); !made.ok()) {
    // Linux: so that nobody unlinks what was never counted.
    to.SetAnonVma(nullptr);
    return made;
  }
  const WriteGuard guard(chains.front()->anon_vma->lock());
  for (AnonVmaChain* chain = chains.back(); chain != nullptr; chain = chains.prev(*chain)) {
    AnonVma& anon_vma = *chain->anon_vma;
    LinkLocked(to, anon_vma, *spare.pop_front());
    // The root is never reused: it counts itself, and has a child or a VMA.
    if (reuse == Reuse::kAtFork && to.anon_vma() == nullptr && from.anon_vma() != nullptr &&
        anon_vma.num_children_ < 2 && anon_vma.num_active_vmas_ == 0) {
      to.SetAnonVma(&anon_vma);
    }
  }
  if (to.anon_vma() != nullptr) ++to.anon_vma()->num_active_vmas_;
  return Ok();
}

Result<void> AnonVmas::Fork(Vma& child, Vma& parent) {
  if (parent.anon_vma() == nullptr) return Ok();
  child.SetAnonVma(nullptr);
  MM_TRY(Clone(child, parent, Reuse::kAtFork));
  if (child.anon_vma() != nullptr) return Ok();

  Chains spare;
  const Result<void> chain = NewChains(spare, 1);
  const Result<AnonVma*> own = chain.ok() ? NewAnonVma() : chain.error();
  if (!own.ok()) {
    DeleteChains(spare);
    Unlink(child);
    return own.error();
  }
  AnonVma& anon_vma = **own;
  anon_vma.num_children_ = 0;
  anon_vma.num_active_vmas_ = 1;
  anon_vma.parent_ = parent.anon_vma();
  anon_vma.root_ = &parent.anon_vma()->root();
  Get(anon_vma.root());
  child.SetAnonVma(&anon_vma);
  const WriteGuard guard(anon_vma.lock());
  LinkLocked(child, anon_vma, *spare.pop_front());
  ++anon_vma.parent_->num_children_;
  return Ok();
}

// -- Unlink ---------------------------------------------------------------------------------------

void AnonVmas::Unlink(Vma& vma) {
  Chains& chains = vma.anon_vma_chains();
  if (chains.empty()) {
    MM_DCHECK(vma.anon_vma() == nullptr);
    return;
  }
  AnonVma& root = chains.front()->anon_vma->root();
  // Once the lock is free, another task may unlink the tree's last VMA; the lock must outlive our
  // release of it.
  Get(root);
  Chains done;   // their anon_vmas have other VMAs
  Chains empty;  // theirs have none: the reference for having some is ours
  {
    const WriteGuard guard(root.lock_);
    while (AnonVmaChain* chain = chains.pop_front()) {
      AnonVma& anon_vma = *chain->anon_vma;
      MM_DCHECK(&anon_vma.root() == &root);
      anon_vma.vmas_.erase(*chain);
      if (anon_vma.vmas_.empty()) {
        --anon_vma.parent_->num_children_;
        empty.push_back(*chain);
      } else {
        done.push_back(*chain);
      }
    }
    if (AnonVma* own = vma.anon_vma()) {
      --own->num_active_vmas_;
      vma.SetAnonVma(nullptr);
    }
  }
  DeleteChains(done);
  for (const AnonVmaChain& chain : empty) {
    MM_DCHECK(chain.anon_vma->num_children_ == 0 && chain.anon_vma->num_active_vmas_ == 0);
    Put(*chain.anon_vma);
  }
  DeleteChains(empty);
  Put(root);
}

// -- Questions ------------------------------------------------------------------------------------

bool AnonVmas::IsForkChild(Vma& vma) {
  const Chains& chains = vma.anon_vma_chains();
  return vma.anon_vma() != nullptr && chains.front() != chains.back();
}

void AnonVmas::Validate(Vma& vma) {
  Chains& chains = vma.anon_vma_chains();
  if (chains.empty()) {
    MM_CHECK(vma.anon_vma() == nullptr);
    return;
  }
  const auto is_chained_to = [&](const AnonVma* anon_vma) {
    for (const AnonVmaChain& chain : chains) {
      if (chain.anon_vma == anon_vma) return true;
    }
    return false;
  };
  AnonVma& root = chains.front()->anon_vma->root();
  const ReadGuard guard(root.lock_);
  MM_CHECK(vma.anon_vma() == nullptr || is_chained_to(vma.anon_vma()));
  for (const AnonVmaChain& chain : chains) {
    const AnonVma& anon_vma = *chain.anon_vma;
    MM_CHECK(chain.vma == &vma && &anon_vma.root() == &root);
    MM_CHECK(is_chained_to(&anon_vma.parent()));
    MM_CHECK((&anon_vma == &root) == (&anon_vma.parent() == &anon_vma));
    uint32_t active = 0;
    uint32_t ours = 0;
    for (const AnonVmaChain& other : anon_vma.vmas_) {
      if (other.vma == &vma) ++ours;
      if (other.vma->anon_vma() == &anon_vma) ++active;
    }
    MM_CHECK_EQ(ours, 1u);
    MM_CHECK_EQ(active, anon_vma.num_active_vmas_);
    // Every child holds a reference of the root's, which has one more.
    MM_CHECK_LE(anon_vma.num_children_, root.refcount_.Peek());
    MM_CHECK(&anon_vma != &root || anon_vma.num_children_ != 0);
  }
}

// -- Memory ---------------------------------------------------------------------------------------

Result<AnonVma*> AnonVmas::NewAnonVma() {
  MM_ASSIGN_OR_RETURN(AnonVma * anon_vma, heap_.New<AnonVma>(*this));
  count_.FetchAdd(1, kRelaxed);  // relaxed: a statistic
  return anon_vma;
}

/// Puts `count` new chains on the empty list, or none.
Result<void> AnonVmas::NewChains(Chains& chains, size_t count) {
  for (; count != 0; --count) {
    const Result<AnonVmaChain*> chain = heap_.New<AnonVmaChain>();
    if (!chain.ok()) {
      DeleteChains(chains);
      return chain.error();
    }
    chains.push_back(**chain);
  }
  return Ok();
}

void AnonVmas::DeleteChains(Chains& chains) {
  while (AnonVmaChain* chain = chains.pop_front()) heap_.Delete(chain);
}

/// Links both ways; the lock of the tree is held for writing. Linux: anon_vma_chain_link.
void AnonVmas::LinkLocked(Vma& vma, AnonVma& anon_vma, AnonVmaChain& chain) {
  anon_vma.lock().AssertHeld();
  chain.vma = &vma;
  chain.anon_vma = &anon_vma;
  vma.anon_vma_chains().push_front(chain);
  anon_vma.vmas_.push_back(chain);
}

void AnonVmas::Get(AnonVma& anon_vma) {
  // Relaxed: the caller's VMA has a chain into the tree, which keeps the root alive.
  anon_vma.refcount_.FetchAdd(1, kRelaxed);
}

/// Drops a reference; with the last one of a member goes that of the root's. Linux: put_anon_vma.
void AnonVmas::Put(AnonVma& anon_vma) {
  // Release: our use comes before the freeing; acquire: the freeing after all uses.
  if (anon_vma.refcount_.FetchSub(1, kAcqRel) != 1) return;
  AnonVma& root = anon_vma.root();
  const bool is_root = &root == &anon_vma;
  Rcu::Retire(anon_vma.rcu_, &AfterGracePeriod);
  if (!is_root) Put(root);
}

void AnonVmas::AfterGracePeriod(RcuHead* head) {
  auto* anon_vma = reinterpret_cast<AnonVma*>(head);  // rcu_ is the first member
  AnonVmas& owner = anon_vma->owner_;
  owner.heap_.Delete(anon_vma);
  owner.count_.FetchSub(1, kRelaxed);  // relaxed: a statistic
}

}  // namespace faultline

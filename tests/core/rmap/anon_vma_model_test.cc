// SPDX-License-Identifier: Apache-2.0
//
// Random families of VMAs against a naive model of core/rmap/anon_vma.h: the model keeps for each
// VMA the list of anon_vmas that it is chained to and its own one, and counts by looking at all.

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/core/rmap/anon_vmas.h"

namespace faultline {
namespace {

/// One VMA, and what it should be chained to. anon_vmas are numbers; 0 is none.
struct Member {
  Vma vma;
  int own = 0;
  std::vector<int> chains;  // as ChainsOf
};

class Family {
 public:
  ~Family() {
    while (!members_.empty()) Unlink(0);
  }

  [[nodiscard]] size_t size() const { return members_.size(); }

  /// A fault in a new VMA, beside the neighbour at `near` if that could be reused.
  void Prepare(size_t near) {
    Member* neighbour = nullptr;
    if (near < members_.size() && members_[near]->chains.size() == 1) {
      neighbour = members_[near].get();
    }
    Member& fresh = Add();
    RC_ASSERT(anon_vmas_.Prepare(fresh.vma, neighbour ? neighbour->vma.anon_vma() : nullptr).ok());
    fresh.own = neighbour != nullptr ? neighbour->own : NewNumber(/*parent=*/0);
    fresh.chains = {fresh.own};
  }
  void Split(size_t which) {
    Member& from = *members_[which];
    Member& fresh = Add();
    RC_ASSERT(anon_vmas_.Split(fresh.vma, from.vma).ok());
    fresh.own = from.own;
    fresh.chains = from.chains;
  }
  void Fork(size_t which) {
    Member& parent = *members_[which];
    Member& child = Add();
    RC_ASSERT(anon_vmas_->Fork(child.vma, parent.vma).ok());
    child.chains = parent.chains;
    // The oldest that nobody has as his own and that has fewer than two children.
    for (auto it = parent.chains.rbegin(); it != parent.chains.rend() && child.own == 0; ++it) {
      if (Active(*it) == 0 && Children(*it) < 2) child.own = *it;
    }
    if (child.own != 0) return;
    child.own = NewNumber(parent.own);
    child.chains.insert(child.chains.begin(), child.own);
  }
  void Unlink(size_t which) {
    anon_vmas_->Unlink(members_[which]->vma);
    RC_ASSERT(members_[which]->vma.anon_vma_chains().empty());
    RC_ASSERT(members_[which]->vma.anon_vma() == nullptr);
    members_.erase(members_.begin() + static_cast<ptrdiff_t>(which));
  }

  void Compare() {
    std::map<int, AnonVma*> found;  // each number is one anon_vma, and the other way round
    std::map<AnonVma*, int> number;
    for (const auto& member : members_) {
      AnonVmas::Validate(member->vma);
      const std::vector<AnonVma*> chains = ChainsOf(member->vma);
      RC_ASSERT(chains.size() == member->chains.size());
      for (size_t i = 0; i < chains.size(); ++i) {
        RC_ASSERT(found.emplace(member->chains[i], chains[i]).first->second == chains[i]);
        RC_ASSERT(number.emplace(chains[i], member->chains[i]).first->second == member->chains[i]);
      }
      RC_ASSERT(number.at(member->vma.anon_vma()) == member->own);
      RC_ASSERT(AnonVmas::IsForkChild(member->vma) == (chains.size() > 1));
    }
    for (const auto& [n, anon_vma] : found) {
      RC_ASSERT(anon_vma->num_active_vmas() == Active(n));
      RC_ASSERT(anon_vma->num_children() == Children(n));
      RC_ASSERT((parents_.at(n) == 0 ? n : parents_.at(n)) == number.at(&anon_vma->parent()));
    }
    // More than that wait for a grace period; that none is left in the end, TestAnonVmas checks.
    RC_ASSERT(anon_vmas_->count() >= found.size());
  }

 private:
  Member& Add() { return *members_.emplace_back(std::make_unique<Member>()); }
  int NewNumber(int parent) {
    parents_[++numbers_] = parent;
    return numbers_;
  }
  [[nodiscard]] uint32_t Active(int n) const {
    return static_cast<uint32_t>(
        std::ranges::count_if(members_, [n](const auto& member) { return member->own == n; }));
  }
  [[nodiscard]] bool Lives(int n) const {
    return std::ranges::any_of(members_, [n](const auto& member) {
      return std::ranges::find(member->chains, n) != member->chains.end();
    });
  }
  [[nodiscard]] uint32_t Children(int n) const {
    uint32_t children = parents_.at(n) == 0 ? 1 : 0;
    for (const auto& [child, parent] : parents_) children += parent == n && Lives(child) ? 1 : 0;
    return children;
  }

  TestAnonVmas anon_vmas_;
  std::vector<std::unique_ptr<Member>> members_;
  std::map<int, int> parents_;
  int numbers_ = 0;
};

RC_GTEST_PROP(AnonVmaModelTest, FamiliesAreChainedAsTheModelSays, ()) {
  Family family;
  const auto steps = *rc::gen::inRange(0, 60);
  for (int step = 0; step < steps; ++step) {
    const auto which = *rc::gen::inRange<size_t>(0, std::max<size_t>(family.size(), 1));
    const int action = family.size() == 0 ? 0 : *rc::gen::inRange(0, 10);
    if (action == 0) {
      family.Prepare(which);
    } else if (action <= 2) {
      family.Split(which);
    } else if (action <= 6) {
      family.Fork(which);
    } else {
      family.Unlink(which);
    }
    family.Compare();
  }
}

}  // namespace
}  // namespace faultline

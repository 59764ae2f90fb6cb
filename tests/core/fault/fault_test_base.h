// SPDX-License-Identifier: Apache-2.0
//
// The base of the fault tests that run one task at a time: an arena, a heap, a machine, one mm.

#pragma once

#include <memory>
#include <utility>

#include <gtest/gtest.h>

#include "core/base/arena.h"
#include "tests/core/fault/fault_fixture.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class FaultTestBase : public testing::Test {
 protected:
  static constexpr VirtAddr kBase{0x7f00'0000'0000};
  static constexpr auto kRead = AccessKind::kRead;
  static constexpr auto kWrite = AccessKind::kWrite;
  static constexpr auto kExec = AccessKind::kExec;

  [[nodiscard]] static VirtAddr Page(uint64_t page) { return kBase + page * kPageSize; }
  [[nodiscard]] FrameAllocator& frames() { return machine_->frames(); }
  [[nodiscard]] uint64_t WordOf(Folio& folio) { return frames().LoadWord(folio, 0); }

  /// What an entry says that leads to `folio` with those bits, and is young.
  [[nodiscard]] Entry Young(Folio& folio, uint64_t bits) {
    return Entry::Of(frames().PfnOf(folio), bits | Entry::kAccessed);
  }

  ~FaultTestBase() override {
    child_.reset();
    mm_.reset();
    if (mapping_ != nullptr) mapping_->Put();
    Rcu::Barrier();
  }

  /// The Mapping of the test, made on first use.
  Mapping& File(Mapping::Kind kind = Mapping::Kind::kFile, uint64_t pages = 64) {
    if (mapping_ == nullptr) mapping_ = &machine_->NewMapping(kind, pages);
    return *mapping_;
  }
  FaultMm& Fork() {
    child_ = std::make_unique<FaultMm>(*machine_);
    child_->ForkFrom(*mm_);
    return *child_;
  }

  Arena arena_ = std::move(*Arena::Create(64u << 20));
  Heap heap_{arena_};
  std::unique_ptr<FaultMachine> machine_ =
      std::make_unique<FaultMachine>(heap_, FaultMachine::Options{});
  std::unique_ptr<FaultMm> mm_ = std::make_unique<FaultMm>(*machine_);
  std::unique_ptr<FaultMm> child_;
  Mapping* mapping_ = nullptr;
};

}  // namespace faultline

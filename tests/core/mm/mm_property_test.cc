// SPDX-License-Identifier: Apache-2.0
//
// Random operations of a family of up to three processes, compared with the naive model of
// naive_model.h after each: result, mapped pages with their rights, and, by reads and at the end,
// contents. A failure is shrunk to few operations and printed with what reproduces it.

#include <rapidcheck.h>

#include <array>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "tests/core/mm/model_driver.h"

namespace faultline {
namespace {

constexpr uint64_t kArenaPages = 48;

/// Numbers from 64 random bits; shrinks as they do.
NaiveOp OpFrom(const std::vector<uint8_t>& bytes) {
  size_t next = 0;
  const auto draw = [&](uint64_t bound) { return bound == 0 ? 0 : bytes[next++] % bound; };
  return RandomOp(draw, kArenaPages, /*with_seals=*/true);
}

/// Operations of which any part may be left out.
rc::Gen<std::vector<NaiveOp>> Operations() {
  constexpr int kBytes = 20;  // RandomOp draws fewer numbers
  const auto byte = rc::gen::resize(rc::kNominalSize, rc::gen::inRange<uint8_t>(0, 251));
  const auto op = rc::gen::map(rc::gen::container<std::vector<uint8_t>>(kBytes, byte), OpFrom);
  return rc::gen::scale(30.0, rc::gen::container<std::vector<NaiveOp>>(op));
}

/// Processes on both sides.
class Family {
 public:
  Family(PageContents contents, SchemeName scheme) : world_(OptionsFor(contents)) {
    file_ = &world_.NewFile(kModelFilePages);
    auto object = std::make_shared<NaiveObject>();
    for (uint64_t i = 0; i < kModelFilePages; ++i) object->words.push_back(1000 + i);
    mms_[0] = &world_.NewMm({.fault = DefaultsOf(scheme), .extra_duties = kExtraDuties});
    models_[0].emplace(object);
  }

  void Apply(NaiveOp op) {
    // Of a process that is not there, the first one that is.
    while (mms_[op.process] == nullptr) op.process = (op.process + 1) % 3;
    Mm* const mm = mms_[op.process];
    NaiveProcess& model = *models_[op.process];
    if (op.kind == NaiveOp::Kind::kFork) return Fork(op);
    if (op.kind == NaiveOp::Kind::kExit) return Exit(op.process);
    if (!model.Determined(op)) return;
    ++word_;
    const NaiveOutcome expected = model.Apply(op, word_);
    const NaiveOutcome seen = ApplyTo(*mm, {}, op, word_, file_);
    if (seen != expected) {
      RC_FAIL(Describe(op) + ": " + Describe(seen) + ", expected " + Describe(expected));
    }
    Compare(op);
    ++applied_;
    if (expected.error == 0 && expected.signal == 0) ++succeeded_;
  }
  [[nodiscard]] uint64_t applied() const { return applied_; }
  [[nodiscard]] uint64_t succeeded() const { return succeeded_; }
  void End() {
    for (size_t i = 0; i < mms_.size(); ++i) {
      if (mms_[i] == nullptr) continue;
      const std::string difference = CompareContents(*mms_[i], {}, *models_[i]);
      if (!difference.empty()) RC_FAIL("process " + std::to_string(i) + ": " + difference);
    }
    world_.End();
  }

 private:
  static MachineOptions OptionsFor(PageContents contents) {
    MachineOptions options = MmWorld::kSmall;
    options.contents = contents;
    return options;
  }
  void Compare(const NaiveOp& op) {
    const std::string difference = CompareMaps(*mms_[op.process], {}, *models_[op.process]);
    if (!difference.empty()) RC_FAIL(Describe(op) + ": " + difference);
    mms_[op.process]->Validate();
  }
  void Fork(const NaiveOp& op) {
    for (uint32_t slot = 0; slot < mms_.size(); ++slot) {
      if (mms_[slot] != nullptr) continue;
      mms_[slot] = &world_.Fork(*mms_[op.process]);
      models_[slot] = models_[op.process]->Fork();
      NaiveOp compared = op;
      Compare(compared);
      compared.process = slot;
      return Compare(compared);
    }
  }
  void Exit(uint32_t process) {
    if (std::count(mms_.begin(), mms_.end(), nullptr) == 2) return;  // the last one stays
    world_.Drop(*mms_[process]);
    mms_[process] = nullptr;
    models_[process].reset();
  }

  MmWorld world_;
  Mapping* file_;
  std::array<Mm*, 3> mms_{};
  std::array<std::optional<NaiveProcess>, 3> models_;
  uint64_t word_ = 100'000;
  uint64_t applied_ = 0;
  uint64_t succeeded_ = 0;
};

class MmPropertyTest : public testing::TestWithParam<std::tuple<PageContents, SchemeName>> {};

TEST_P(MmPropertyTest, DoesWhatTheNaiveModelDoes) {
  const auto [contents, scheme] = GetParam();
  uint64_t applied = 0;
  uint64_t succeeded = 0;
  // check() prints seed and configuration on failure; it is reproduced through RC_PARAMS.
  const bool holds = rc::check("Mm agrees with the naive model", [&] {
    const std::vector<NaiveOp> ops = *Operations();
    Family family(contents, scheme);
    for (const NaiveOp& op : ops) family.Apply(op);
    family.End();
    applied += family.applied();
    succeeded += family.succeeded();
  });
  EXPECT_TRUE(holds);
  // The test is worth something only if much is tried, and much of it does something.
  EXPECT_GT(applied, 40'000u);
  EXPECT_GT(succeeded, applied / 5);
  RecordProperty("applied", std::to_string(applied));
  RecordProperty("succeeded", std::to_string(succeeded));
}

/// One scheme of each kind: faults under mmap_lock, under a lock of the VMA, and without.
INSTANTIATE_TEST_SUITE_P(
    Kinds, MmPropertyTest,
    testing::Values(std::tuple(PageContents::kBytes, SchemeName::kMmapLock),
                    std::tuple(PageContents::kTag, SchemeName::kMmapLock),
                    std::tuple(PageContents::kBytes, SchemeName::kVmaRefcnt),
                    std::tuple(PageContents::kBytes, SchemeName::kRcuContinue)),
    [](const auto& test) {
      const bool is_tag = std::get<PageContents>(test.param) == PageContents::kTag;
      return std::string(Name(std::get<SchemeName>(test.param))) + (is_tag ? "_tag" : "_bytes");
    });

}  // namespace
}  // namespace faultline

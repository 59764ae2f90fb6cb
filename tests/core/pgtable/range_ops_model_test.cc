// SPDX-License-Identifier: Apache-2.0
//
// Random sequences of range operations on two mms against a naive model: a map from page to entry
// for each mm. After every operation all entries, mapcounts, reference counts and counters are
// compared.

#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/pgtable/range_ops.h"
#include "tests/core/pgtable/table_world.h"

namespace faultline {
namespace {

/// What one mm should hold, by page number.
using ModelMm = std::map<uint64_t, Entry>;

/// The pages that the test plays with: around a boundary of PUDs, and a second window far away.
constexpr uint64_t kWindowPages = 3 * kPagesPerPmd;
constexpr std::array<uint64_t, 2> kWindows{(1ull << 18) - kPagesPerPmd - 100, (1ull << 30) + 77};

class ModelRun {
 public:
  ModelRun(uint64_t seed, uint32_t levels)
      : random_(seed), parent_(world_, levels), child_(world_, levels) {
    for (size_t i = 0; i < files_.size(); ++i) {
      files_[i] = &world_.NewFolio(FrameUse::kFile);
      if (i % 2 != 0) files_[i]->Set(kFolioSwapBacked);
    }
  }
  ~ModelRun() {
    parent_.Unmap();
    child_.Unmap();
    for (Folio* file : files_) frames().Put(*file);
  }
  ModelRun(const ModelRun&) = delete;
  ModelRun& operator=(const ModelRun&) = delete;

  void Step() {
    switch (random_() % 10) {
      case 0:
      case 1:
      case 2:
        return Fill();
      case 3:
        return Zap();
      case 4:
        return Protect();
      case 5:
        return LazyFree();
      case 6:
        return random_() % 2 == 0 ? InstallGuards() : RemoveGuards();
      case 7:
        return Move();
      case 8:
        return Fork();
      default:
        return Touch();
    }
  }

  void Check() {
    CheckMm(parent_, parent_model_);
    CheckMm(child_, child_model_);
    std::map<const Folio*, int32_t> mappings;
    for (const ModelMm* model : {&parent_model_, &child_model_}) {
      for (const auto& [page, entry] : *model) {
        if (entry.present() && !entry.special()) ++mappings[&FolioOf(entry)];
      }
    }
    for (const auto& [folio, count] : mappings) {
      ASSERT_EQ(folio->mapcount(), count);
      ASSERT_EQ(folio->refcount(),
                static_cast<uint32_t>(count) + (folio->use() == FrameUse::kFile ? 1 : 0));
    }
  }

 private:
  [[nodiscard]] FrameAllocator& frames() { return world_.frames(); }
  [[nodiscard]] Folio& FolioOf(Entry entry) { return frames().FolioOf(entry.pfn()); }
  [[nodiscard]] uint64_t Below(uint64_t bound) { return random_() % bound; }

  /// A range of pages within one window: often short, sometimes all of it.
  struct Span {
    uint64_t first;
    uint64_t count;
    [[nodiscard]] VirtRange range() const { return Pages(AddrOf(VirtPage(first)), count); }
  };
  [[nodiscard]] Span RandomSpan() {
    const uint64_t window = kWindows[Below(2)];
    if (Below(6) == 0) return {window, kWindowPages};
    const uint64_t offset = Below(kWindowPages);
    const uint64_t longest = kWindowPages - offset;
    return {window + offset, 1 + Below(Below(2) == 0 ? std::min<uint64_t>(longest, 20) : longest)};
  }

  void Fill() {
    const Span span = RandomSpan();
    for (uint64_t i = 0; i < std::min<uint64_t>(span.count, 40); ++i) {
      const uint64_t page = span.first + Below(span.count);
      if (parent_model_.contains(page)) continue;
      const VirtAddr addr = AddrOf(VirtPage(page));
      uint64_t bits = Below(2) == 0 ? kWritableBits : kReadOnlyBits;
      if (Below(2) == 0) bits |= Entry::kAccessed;
      if ((bits & Entry::kWrite) != 0 && Below(2) == 0) bits |= Entry::kDirty;
      const uint64_t kind = Below(4);
      if (kind == 0) {
        bits = kReadOnlyBits | Entry::kSpecial;
        parent_.SetEntry(addr, Entry::Of(frames().zero_pfn(), bits));
      } else if (kind == 1) {
        Folio& file = *files_[Below(files_.size())];
        file.Get();
        parent_.MapFolio(addr, file, bits);
      } else {
        parent_.MapAnon(addr, bits);
      }
      parent_model_[page] = parent_.At(addr);
    }
  }

  void Zap() {
    const Span span = RandomSpan();
    const ZapOptions options{.drop_markers = Below(2) == 0,
                             .free_empty_tables = Below(2) == 0,
                             .holes = Below(2) == 0 ? Holes::kTrust : Holes::kAskUnderLock};
    parent_.Zap(span.range(), options);
    Edit(parent_model_, span,
         [&](Entry e) { return e.present() || options.drop_markers ? Entry() : e; });
  }
  void Protect() {
    const Span span = RandomSpan();
    const uint64_t bits = LeafBits(Below(3) != 0, Below(2) == 0, Below(2) == 0);
    parent_.WithGather(
        [&](TlbGather& gather) { ProtectRange(parent_.tables(), gather, span.range(), bits); });
    Edit(parent_model_, span, [&](Entry e) {
      if (!e.present()) return e;
      const uint64_t write = e.raw() & bits & Entry::kWrite;
      const uint64_t replaced = Entry::kWrite | Entry::kProtNone | Entry::kNoExec;
      return e.Without(replaced).With(write | (bits & (Entry::kProtNone | Entry::kNoExec)));
    });
  }
  void LazyFree() {
    const Span span = RandomSpan();
    // Asked before, since it depends on mapcounts that the operation does not change.
    parent_.WithGather(
        [&](TlbGather& gather) { LazyFreeRange(parent_.tables(), gather, span.range()); });
    Edit(parent_model_, span, [&](Entry e) {
      const bool own = e.present() && !e.special() && FolioOf(e).use() == FrameUse::kAnon &&
                       FolioOf(e).mapcount() == 1;
      return own ? e.Without(Entry::kDirty | Entry::kAccessed) : e;
    });
  }
  void InstallGuards() {
    const Span span{RandomSpan().first, 1 + Below(600)};
    const Result<void> result = parent_.WithGather([&](TlbGather& gather) {
      return faultline::InstallGuards(parent_.tables(), gather, span.range());
    });
    ASSERT_TRUE(result.ok());
    for (uint64_t i = 0; i < span.count; ++i) parent_model_[span.first + i] = Entry::Guard();
  }
  void RemoveGuards() {
    const Span span = RandomSpan();
    faultline::RemoveGuards(parent_.tables(), span.range());
    Edit(parent_model_, span, [](Entry e) { return e.is_guard() ? Entry() : e; });
  }
  /// What the MMU does to an entry.
  void Touch() {
    for (auto& [page, entry] : parent_model_) {
      if (!entry.present() || Below(8) != 0) continue;
      const uint64_t bits = Entry::kAccessed | (entry.writable() ? Entry::kDirty : 0);
      const EntryRef pte = parent_.tables().FindPte(AddrOf(VirtPage(page)));
      pte.slot->FetchOr(bits, kRelaxed);
      entry = entry.With(bits);
    }
  }
  void Move() {
    const Span from = RandomSpan();
    // Into a third place, so that nothing overlaps, and then to where it was, shifted if possible.
    const uint64_t to = (1ull << 31) + Below(3 * kPagesPerPmd);
    MoveTo(from.first, to, from.count);
    MoveTo(to, from.first, from.count);
    if (Below(2) == 0) return;
    const Span target{kWindows[Below(2)], from.count};
    if (from.range().Overlaps(target.range())) return;
    parent_.Zap(target.range(), {.drop_markers = true});
    Edit(parent_model_, target, [](Entry) { return Entry(); });
    MoveTo(from.first, target.first, from.count);
  }
  void MoveTo(uint64_t from, uint64_t to, uint64_t count) {
    const uint64_t moved = parent_.WithGather([&](TlbGather& gather) {
      return MoveRange(parent_.tables(), gather, AddrOf(VirtPage(from)), AddrOf(VirtPage(to)),
                       count * kPageSize);
    });
    ASSERT_EQ(moved, count * kPageSize);
    ModelMm taken;
    const auto begin = parent_model_.lower_bound(from);
    const auto end = parent_model_.lower_bound(from + count);
    for (auto it = begin; it != end; ++it) taken[it->first - from + to] = it->second;
    parent_model_.erase(begin, end);
    parent_model_.merge(taken);
    ASSERT_TRUE(taken.empty());
  }
  void Fork() {
    child_.Unmap();
    child_model_.clear();
    const bool shared = Below(2) == 0;
    for (const uint64_t window : kWindows) {
      const Span span{window, kWindowPages + 600};  // with what guards reach beyond
      const Result<void> result = parent_.WithGather([&](TlbGather& gather) {
        return CopyRange(child_.tables(), parent_.tables(), gather, span.range(), shared);
      });
      ASSERT_TRUE(result.ok());
      Edit(parent_model_, span,
           [&](Entry e) { return e.present() && !shared ? e.Without(Entry::kWrite) : e; });
      const uint64_t lost = shared ? Entry::kAccessed | Entry::kDirty : Entry::kAccessed;
      const auto end = parent_model_.lower_bound(span.first + span.count);
      for (auto it = parent_model_.lower_bound(span.first); it != end; ++it) {
        child_model_[it->first] = it->second.present() ? it->second.Without(lost) : it->second;
      }
    }
  }

  template <class Change>
  static void Edit(ModelMm& model, Span span, const Change& change) {
    for (auto it = model.lower_bound(span.first);
         it != model.end() && it->first < span.first + span.count;) {
      it->second = change(it->second);
      it = it->second.none() ? model.erase(it) : std::next(it);
    }
  }

  void CheckMm(TestMm& mm, const ModelMm& model) {
    ModelMm found;
    PageTables& tables = mm.tables();
    tables.ForEachTable([&](Folio& table, TableLevel level, VirtAddr start) {
      if (level != TableLevel::kPte) return;
      const TableWords& words = frames().Table(table);
      for (uint64_t i = 0; i < words.size(); ++i) {
        if (words[i].Peek() != 0) found[PageOf(start).value() + i] = Entry(words[i].Peek());
      }
    });
    ASSERT_TRUE(found == model);
    std::map<MmCounter, int64_t> counts;
    for (const auto& [page, entry] : model) {
      if (entry.present() && !entry.special()) ++counts[CounterOf(FolioOf(entry))];
    }
    for (const auto counter :
         {MmCounter::kAnonPages, MmCounter::kFilePages, MmCounter::kShmemPages}) {
      ASSERT_EQ(mm.counters().Sum(counter), counts[counter]);
    }
    tables.Validate();
  }

  std::mt19937_64 random_;
  TableWorld world_{{.frames = 32768}};
  TestMm parent_;
  TestMm child_;
  ModelMm parent_model_;
  ModelMm child_model_;
  std::array<Folio*, 4> files_{};
};

class RangeOpsModelTest : public testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Levels, RangeOpsModelTest, testing::Values(4u, 5u));

TEST_P(RangeOpsModelTest, RandomOperationsDoWhatTheModelDoes) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ModelRun run(seed, GetParam());
    for (int step = 0; step < 60; ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      run.Step();
      run.Check();
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace faultline

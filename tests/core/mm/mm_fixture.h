// SPDX-License-Identifier: Apache-2.0
//
// A machine with mms for tests of core/mm, both flavours. Addresses are given as page numbers
// relative to kBase, so that expected maps can be written down: "0-4 rw-p, 4-6 r--p".
//
// Invariant: at the end every mm is validated and dropped, every file put, and after the grace
// periods all frames are free again; MmWorld checks it when it goes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/check.h"
#include "core/machine/machine.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Page 0 of the tests. At page 24 tables of every level but the root end.
inline constexpr VirtAddr kBase{0x1000'0000'0000 - 24 * kPageSize};
[[nodiscard]] constexpr VirtAddr At(int64_t page) {
  return VirtAddr(kBase.value() + static_cast<uint64_t>(page) * kPageSize);
}
[[nodiscard]] constexpr uint64_t Pages(uint64_t pages) { return pages * kPageSize; }

inline constexpr uint64_t kNone = 0;
inline constexpr uint64_t kR = abi::kProtRead;
inline constexpr uint64_t kRw = abi::kProtRead | abi::kProtWrite;
inline constexpr uint64_t kAnonFixed = abi::kMapPrivate | abi::kMapAnonymous | abi::kMapFixed;
inline constexpr uint64_t kSharedAnonFixed = abi::kMapShared | abi::kMapAnonymous | abi::kMapFixed;

/// "ok", or the error's name: readable on both sides of an expectation.
template <class T>
[[nodiscard]] std::string Why(const Result<T>& result) {
  return result.ok() ? "ok" : std::string(Name(result.error()));
}

/// "ok", or signal and code.
[[nodiscard]] inline std::string Why(const AccessOutcome& access) {
  if (access.ok()) return "ok";
  if (access.signal == abi::kSigBus) return "SIGBUS " + std::to_string(access.code);
  if (access.signal != abi::kSigSegv) return "signal " + std::to_string(access.signal);
  if (access.code == abi::kSegvMapErr) return "SEGV_MAPERR";
  return access.code == abi::kSegvAccErr ? "SEGV_ACCERR" : "SEGV " + std::to_string(access.code);
}

/// One machine, its mms and files.
class MmWorld {
 public:
  static constexpr MachineOptions kSmall{.memory_bytes = 16 << 20,
                                         .object_bytes = 1ull << 30,
                                         .cpus = 4,
                                         .contents = PageContents::kBytes};

  explicit MmWorld(const MachineOptions& options = kSmall)
      : machine_(std::move(*Machine::Create(options))),
        free_frames_(machine_->frames().free_frames()) {}
  ~MmWorld() { End(); }
  MmWorld(const MmWorld&) = delete;
  MmWorld& operator=(const MmWorld&) = delete;

  [[nodiscard]] Machine& machine() { return *machine_; }
  /// A new mm, dropped at the end.
  Mm& NewMm(const MmOptions& options = {}) {
    mms_.push_back(*machine_->CreateMm(options));
    return *mms_.back();
  }
  /// The child, dropped at the end.
  Mm& Fork(Mm& parent) {
    mms_.push_back(*parent.Fork());
    return *mms_.back();
  }
  /// Takes over a user of an mm.
  void Adopt(Mm& mm) { mms_.push_back(&mm); }
  /// Validates and drops one mm now.
  void Drop(Mm& mm) {
    std::erase(mms_, &mm);
    mm.Validate();
    mm.DropUser();
  }
  void DropAll() {
    while (!mms_.empty()) Drop(*mms_.back());
  }
  /// A file of `pages` pages whose first words are 1000, 1001, ...
  Mapping& NewFile(uint64_t pages) {
    Mapping* const file = *machine_->CreateFile("file", Pages(pages));
    files_.push_back(file);
    for (uint64_t page = 0; page < pages; ++page) {
      Folio* const folio = *file->FindOrCreate(PageIndex(page), Gfp::kKernel);
      machine_->frames().StoreWord(*folio, 0, 1000 + page);
      machine_->frames().Put(*folio);
    }
    return *file;
  }
  /// Drops everything and checks that nothing is left. Again and again is once.
  void End() {
    machine_->fail_points().Disarm();
    Rcu::Barrier();  // what was retired frees frames, and Validate wants nobody to
    machine_->Validate();
    DropAll();
    for (Mapping* file : files_) file->Put();
    files_.clear();
    Rcu::Barrier();
    MM_CHECK_EQ(machine_->frames().free_frames(), free_frames_);
    MM_CHECK_EQ(machine_->anon_vmas().count(), 0u);
    machine_->frames().Validate();
  }

 private:
  std::unique_ptr<Machine> machine_;
  const uint64_t free_frames_;
  std::vector<Mm*> mms_;  ///< in the order in which they came
  std::vector<Mapping*> files_;
};

/// "0-4 rw-p, 4-6 r--s": the VMAs from `first` to `end`, in pages relative to kBase.
[[nodiscard]] inline std::string MapsOf(Mm& mm, int64_t first = -100'000, int64_t end = 100'000) {
  std::string text;
  const auto page_of = [](VirtAddr addr) {
    return (static_cast<int64_t>(addr.value()) - static_cast<int64_t>(kBase.value())) /
           static_cast<int64_t>(kPageSize);
  };
  mm.ForEachVma([&](const MapsLine& line) {
    if (page_of(line.range.end()) <= first || page_of(line.range.start()) >= end) return;
    if (!text.empty()) text += ", ";
    text += std::to_string(page_of(line.range.start())) + "-" +
            std::to_string(page_of(line.range.end())) + " ";
    text += (line.flags & vma_flag::kRead) != 0 ? 'r' : '-';
    text += (line.flags & vma_flag::kWrite) != 0 ? 'w' : '-';
    text += (line.flags & vma_flag::kExec) != 0 ? 'x' : '-';
    text += (line.flags & vma_flag::kMayShare) != 0 ? 's' : 'p';
  });
  return text;
}

/// The first word of a page, which can be read.
[[nodiscard]] inline uint64_t WordAt(Mm& mm, VirtAddr addr) {
  uint64_t word = 0;
  const AccessOutcome access = mm.Read(addr, word);
  EXPECT_TRUE(access.ok()) << Why(access) << " at " << std::hex << addr.value();
  return word;
}

/// Fixture with one mm.
class MmTest : public testing::Test {
 protected:
  explicit MmTest(const MmOptions& options = {}, const MachineOptions& machine = MmWorld::kSmall)
      : world_(machine), mm_(world_.NewMm(options)) {}
  void TearDown() override { world_.End(); }

  [[nodiscard]] Mm& mm() { return mm_; }
  [[nodiscard]] MmWorld& world() { return world_; }
  [[nodiscard]] Machine& machine() { return world_.machine(); }

  /// Maps pages at a fixed place.
  static void MapIn(Mm& mm, int64_t page, uint64_t pages, uint64_t prot = kRw,
                    uint64_t flags = kAnonFixed) {
    ASSERT_EQ(
        Why(mm.Mmap({.addr = At(page), .length = Pages(pages), .prot = prot, .flags = flags})),
        "ok");
  }
  void Map(int64_t page, uint64_t pages, uint64_t prot = kRw, uint64_t flags = kAnonFixed) {
    MapIn(mm_, page, pages, prot, flags);
  }
  void MapFile(int64_t page, uint64_t pages, Mapping& file, uint64_t offset_pages,
               uint64_t prot = kRw, uint64_t type = abi::kMapShared, bool writable = true) {
    ASSERT_EQ(Why(mm_.Mmap({.addr = At(page),
                            .length = Pages(pages),
                            .prot = prot,
                            .flags = type | abi::kMapFixed,
                            .file = &file,
                            .file_writable = writable,
                            .open_file = 1,
                            .offset = Pages(offset_pages)})),
              "ok");
  }
  /// Writes `word` + i to page i.
  static void FillIn(Mm& mm, int64_t page, int64_t pages, uint64_t word) {
    for (int64_t i = 0; i < pages; ++i) {
      ASSERT_EQ(Why(mm.Write(At(page + i), word + static_cast<uint64_t>(i))), "ok");
    }
  }
  void Fill(int64_t page, int64_t pages, uint64_t word) { FillIn(mm_, page, pages, word); }
  /// What a write without consequences for a sealed or missing page says.
  [[nodiscard]] std::string Reads(int64_t page) {
    uint64_t word = 0;
    const AccessOutcome access = mm_.Read(At(page), word);
    return access.ok() ? std::to_string(word) : Why(access);
  }
  [[nodiscard]] std::string Writes(int64_t page, uint64_t word = 1) {
    return Why(mm_.Write(At(page), word));
  }

 private:
  MmWorld world_;
  Mm& mm_;
};

}  // namespace faultline

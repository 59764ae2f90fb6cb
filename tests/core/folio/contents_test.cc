// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/folio/contents.cc in both modes, and of what page tables find in their frames.

#include <gtest/gtest.h>

#include "tests/core/folio/frames.h"

namespace faultline {
namespace {

class ContentsTest : public ::testing::TestWithParam<PageContents> {
 protected:
  [[nodiscard]] Folio& NewPage() { return **frames_->Allocate(FrameUse::kAnon, Gfp::kKernel); }

  TestFrames frames_{64, GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Modes, ContentsTest,
                         ::testing::Values(PageContents::kTag, PageContents::kBytes),
                         [](const auto& mode) {
                           return mode.param == PageContents::kTag ? "Tag" : "Bytes";
                         });

TEST_P(ContentsTest, AZeroedPageReadsAsZeroEverywhere) {
  Folio& page = NewPage();
  frames_->StoreWord(page, 0, 5);
  frames_->StoreWord(page, kPageSize - 8, 6);
  frames_->Zero(page);
  EXPECT_EQ(frames_->LoadWord(page, 0), 0u);
  EXPECT_EQ(frames_->LoadWord(page, kPageSize - 8), 0u);
  frames_->Put(page);
}

TEST_P(ContentsTest, AStoredWordIsRead) {
  Folio& page = NewPage();
  frames_->Zero(page);
  frames_->StoreWord(page, 16, 0x0123'4567'89ab'cdef);
  EXPECT_EQ(frames_->LoadWord(page, 16), 0x0123'4567'89ab'cdefu);
  frames_->Put(page);
}

TEST_P(ContentsTest, ACopyReadsAsItsOriginalAndIsApart) {
  Folio& from = NewPage();
  Folio& to = NewPage();
  frames_->Zero(from);
  frames_->StoreWord(from, 4088, 7);
  frames_->Copy(to, from);
  frames_->StoreWord(from, 4088, 8);
  EXPECT_EQ(frames_->LoadWord(to, 4088), 7u);
  EXPECT_EQ(frames_->LoadWord(from, 4088), 8u);
  frames_.PutAll({&from, &to});
}

TEST_P(ContentsTest, TheZeroPageReadsAsZeroAndCanBeCopied) {
  EXPECT_EQ(frames_->LoadWord(frames_->zero_folio(), 8), 0u);
  Folio& page = NewPage();
  frames_->StoreWord(page, 8, 5);
  frames_->Copy(page, frames_->zero_folio());
  EXPECT_EQ(frames_->LoadWord(page, 8), 0u);
  frames_->Put(page);
}

TEST_P(ContentsTest, ATableReadsAsZeroWhateverItsFrameWasUsedFor) {
  for (const FrameUse before : {FrameUse::kTable, FrameUse::kAnon}) {
    Folio& used = **frames_->Allocate(before, Gfp::kKernel);
    if (before == FrameUse::kTable) {
      // A table comes back as it was: empty.
      for (Atomic<uint64_t>& entry : frames_->Table(used)) entry.Store(~0ull, kRelaxed);
      for (Atomic<uint64_t>& entry : frames_->Table(used)) entry.Store(0, kRelaxed);
    } else {
      for (uint64_t offset = 0; offset < kPageSize; offset += 8) {
        frames_->StoreWord(used, offset, ~0ull);
      }
    }
    frames_->Put(used);
    Folio& table = **frames_->Allocate(FrameUse::kTable, Gfp::kKernel);
    EXPECT_EQ(&table, &used);
    for (const Atomic<uint64_t>& entry : frames_->Table(table)) ASSERT_EQ(entry.Peek(), 0u);
    frames_->Put(table);
  }
}

TEST(TagContentsTest, AnyWordOfAPageIsItsTag) {
  TestFrames frames(64, PageContents::kTag);
  Folio& page = **frames->Allocate(FrameUse::kFile, Gfp::kKernel);
  frames->StoreWord(page, 8, 5);
  EXPECT_EQ(frames->LoadWord(page, 800), 5u);
  EXPECT_EQ(page.tag().Peek(), 5u);
  frames->Put(page);
}

TEST(BytesContentsTest, WordsOfAPageAreApart) {
  TestFrames frames(64, PageContents::kBytes);
  Folio& page = **frames->Allocate(FrameUse::kFile, Gfp::kKernel);
  for (uint64_t offset = 0; offset < kPageSize; offset += 8)
    frames->StoreWord(page, offset, offset);
  for (uint64_t offset = 0; offset < kPageSize; offset += 8) {
    EXPECT_EQ(frames->LoadWord(page, offset), offset);
  }
  frames->Put(page);
}

}  // namespace
}  // namespace faultline

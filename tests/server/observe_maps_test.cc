// SPDX-License-Identifier: Apache-2.0
//
// Maps, smaps, questions, pagemap and page tables of ObserveService through a socket: what is
// there, page by page, in every mode and form; and bad input, field by field.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <absl/strings/str_cat.h>

#include "server/names.h"
#include "tests/server/observe_fixture.h"

namespace faultline::server::testing {
namespace {

constexpr v1::ReadMode kModes[] = {v1::READ_MODE_UNSPECIFIED, v1::READ_MODE_WHOLE_LOCK,
                                   v1::READ_MODE_PER_VMA, v1::READ_MODE_RCU};

/// An mm with three VMAs: 4 anonymous pages, of which 2 are there; a file's 2; 1 of the heap.
class MapsTest : public ObserveTest {
 protected:
  explicit MapsTest(const Limits& limits = {}) : ObserveTest(limits) {
    const MmUse use = served_.Use(mm_);
    auto file = served_.default_machine().CreateFile("/data/a\nb", 4 * kPageSize);
    EXPECT_TRUE(file.ok());
    file_ = FileName("default", file->number);
    const auto map = [&](uint64_t page, uint64_t pages, Mapping* mapping) {
      const uint64_t flags =
          abi::kMapFixed |
          (mapping == nullptr ? abi::kMapPrivate | abi::kMapAnonymous : abi::kMapShared);
      EXPECT_TRUE(use.mm()
                      .Mmap({.addr = At(page),
                             .length = pages * kPageSize,
                             .prot = abi::kProtRead | abi::kProtWrite,
                             .flags = flags,
                             .file = mapping,
                             .offset = mapping == nullptr ? 0 : kPageSize})
                      .ok());
    };
    map(0, 4, nullptr);
    map(10, 2, &file->ref.mapping());
    Fill(At(0).value(), 2);
    Fill(At(11).value(), 1);
    EXPECT_TRUE(use.mm().Brk(use.mm().brk() + kPageSize).ok());
  }
  [[nodiscard]] static VirtAddr At(uint64_t page) {
    return VirtAddr(0x7000'0000'0000 + page * kPageSize);
  }

  template <class Request>
  [[nodiscard]] Request Of(v1::ReadMode mode = v1::READ_MODE_UNSPECIFIED) {
    Request request;
    request.set_mm(mm_);
    request.set_mode(mode);
    return request;
  }
  [[nodiscard]] Reply<v1::ReadMapsResponse> Maps(const v1::ReadMapsRequest& request) {
    return Call(&ObserveStub::ReadMaps, request);
  }
  [[nodiscard]] Reply<v1::ReadSmapsResponse> Smaps(const v1::ReadSmapsRequest& request) {
    return Call(&ObserveStub::ReadSmaps, request);
  }
  [[nodiscard]] Reply<v1::ReadSmapsRollupResponse> Rollup(
      const v1::ReadSmapsRollupRequest& request) {
    return Call(&ObserveStub::ReadSmapsRollup, request);
  }
  [[nodiscard]] Reply<v1::QueryVmaResponse> Query(const v1::QueryVmaRequest& request) {
    return Call(&ObserveStub::QueryVma, request);
  }
  [[nodiscard]] Reply<v1::ReadPagemapResponse> Pagemap(const v1::ReadPagemapRequest& request) {
    return Call(&ObserveStub::ReadPagemap, request);
  }
  [[nodiscard]] Reply<v1::DumpPageTablesResponse> Dump(const v1::DumpPageTablesRequest& request) {
    return Call(&ObserveStub::DumpPageTables, request);
  }

  std::string file_;
};

TEST_F(MapsTest, AreTheVmasInOrder) {
  for (const v1::ReadMode mode : kModes) {
    const auto reply = Maps(Of<v1::ReadMapsRequest>(mode));
    ASSERT_THAT(reply.status, IsOk());
    ASSERT_EQ(reply.response.vmas_size(), 3) << mode;
    EXPECT_EQ(reply.response.vmas(0).path(), "[heap]");
    EXPECT_EQ(reply.response.vmas(1).start(), At(0).value());
    EXPECT_EQ(reply.response.vmas(1).end(), At(4).value());
    EXPECT_EQ(reply.response.vmas(1).file(), "");
    const v1::VmaInfo& file = reply.response.vmas(2);
    EXPECT_EQ(file.path(), "/data/a\nb");
    EXPECT_EQ(file.file(), file_);
    EXPECT_EQ(file.offset(), kPageSize);
    EXPECT_NE(file.inode(), 0u);
    EXPECT_EQ(file.device_major(), 8u);
    EXPECT_EQ(reply.response.next_page_token(), "");
    EXPECT_EQ(reply.response.text(), "");
    EXPECT_EQ(reply.response.error(), v1::ERRNO_UNSPECIFIED);
    if (mode == v1::READ_MODE_RCU) {
      EXPECT_EQ(reply.response.held_ns(), 0u);
    }
  }
}

TEST_F(MapsTest, AsTextAreTheKernelsLines) {
  auto request = Of<v1::ReadMapsRequest>();
  request.set_format(v1::MAPS_FORMAT_TEXT);
  const auto reply = Maps(request);
  EXPECT_EQ(reply.response.vmas_size(), 0);
  const std::string& text = reply.response.text();
  EXPECT_THAT(text, ::testing::HasSubstr("700000000000-700000004000 rw-p 00000000 00:00 0 \n"));
  EXPECT_THAT(text, ::testing::HasSubstr("70000000a000-70000000c000 rw-s 00001000 08:01 "));
  EXPECT_THAT(text, ::testing::HasSubstr(" /data/a\\012b\n"));
  EXPECT_THAT(text, ::testing::HasSubstr("[heap]\n"));
}

TEST_F(MapsTest, OfAFileWhoseNameWasGivenUpNameNone) {
  const MmUse use = served_.Use(mm_);
  ASSERT_FALSE(
      served_.default_machine().DeleteFile(std::stoull(file_.substr(file_.rfind('/') + 1)), "f"));
  const auto reply = Maps(Of<v1::ReadMapsRequest>());
  EXPECT_EQ(reply.response.vmas(2).file(), "");
  EXPECT_EQ(reply.response.vmas(2).path(), "/data/a\nb");
}

TEST_F(MapsTest, PagesFollowEachOther) {
  for (const v1::ReadMode mode : kModes) {
    auto maps = Of<v1::ReadMapsRequest>(mode);
    auto smaps = Of<v1::ReadSmapsRequest>(mode);
    maps.set_page_size(1);
    smaps.set_page_size(2);
    std::vector<uint64_t> starts;
    do {
      const auto reply = Maps(maps);
      ASSERT_THAT(reply.status, IsOk());
      for (const v1::VmaInfo& vma : reply.response.vmas()) starts.push_back(vma.start());
      maps.set_page_token(reply.response.next_page_token());
    } while (!maps.page_token().empty());
    EXPECT_EQ(starts.size(), 3u);
    EXPECT_TRUE(std::is_sorted(starts.begin(), starts.end()));
    const auto first = Smaps(smaps);
    EXPECT_EQ(first.response.entries_size(), 2);
    smaps.set_page_token(first.response.next_page_token());
    const auto second = Smaps(smaps);
    EXPECT_EQ(second.response.entries_size(), 1);
    EXPECT_EQ(second.response.next_page_token(), "");
  }
}

TEST_F(MapsTest, SmapsSayWhatIsResident) {
  for (const v1::ReadMode mode : kModes) {
    const auto reply = Smaps(Of<v1::ReadSmapsRequest>(mode));
    ASSERT_EQ(reply.response.entries_size(), 3) << mode;
    const v1::ResidencyInfo& anon = reply.response.entries(1).residency();
    EXPECT_EQ(anon.rss(), 2 * kPageSize);
    EXPECT_EQ(anon.pss(), 2 * kPageSize);
    EXPECT_EQ(anon.private_dirty(), 2 * kPageSize);
    EXPECT_EQ(anon.anonymous(), 2 * kPageSize);
    EXPECT_GE(reply.response.entries(2).residency().rss(), kPageSize);
    EXPECT_EQ(reply.response.entries(2).residency().anonymous(), 0u);
    EXPECT_EQ(reply.response.entries(2).vma().file(), file_);
  }
  auto request = Of<v1::ReadSmapsRequest>();
  request.set_format(v1::MAPS_FORMAT_TEXT);
  const auto reply = Smaps(request);
  EXPECT_EQ(reply.response.entries_size(), 0);
  EXPECT_THAT(reply.response.text(),
              ::testing::HasSubstr("Rss:                   8 kB\nPss:                   8 kB\n"));
}

TEST_F(MapsTest, TheRollupIsTheSum) {
  for (const v1::ReadMode mode : kModes) {
    const auto reply = Rollup(Of<v1::ReadSmapsRollupRequest>(mode));
    EXPECT_EQ(reply.response.end(), At(12).value());
    EXPECT_EQ(reply.response.residency().anonymous(), 2 * kPageSize);
    EXPECT_EQ(reply.response.text(), "");
  }
  auto request = Of<v1::ReadSmapsRollupRequest>();
  request.set_format(v1::MAPS_FORMAT_TEXT);
  const auto text = Rollup(request);
  EXPECT_THAT(text.response.text(), ::testing::HasSubstr("[rollup]\n"));
  EXPECT_FALSE(text.response.has_residency());
}

TEST_F(MapsTest, TheRollupOfAnEmptyMmIsEsrch) {
  v1::ReadSmapsRollupRequest request;
  request.set_mm(served_.MakeMm());
  const auto reply = Rollup(request);
  EXPECT_THAT(reply.status, IsOk());
  EXPECT_EQ(reply.response.error(), v1::ERRNO_ESRCH);
}

TEST_F(MapsTest, QuestionsAreAnsweredAsByTheKernel) {
  for (const v1::ReadMode mode : kModes) {
    auto request = Of<v1::QueryVmaRequest>(mode);
    request.set_address(At(1).value());
    const auto covering = Query(request);
    EXPECT_EQ(covering.response.vma().end(), At(4).value());
    EXPECT_EQ(covering.response.query_vma_flags(), 3u);
    EXPECT_EQ(covering.response.page_bytes(), kPageSize);
    request.set_query_flags(16 | 32);
    EXPECT_EQ(Query(request).response.vma().file(), file_);
    request.set_query_flags(4);
    EXPECT_EQ(Query(request).response.error(), v1::ERRNO_ENOENT);
    EXPECT_FALSE(Query(request).response.has_vma());
    for (const uint64_t flags : {uint64_t{64}, uint64_t{1} << 63, UINT64_MAX}) {
      request.set_query_flags(flags);
      EXPECT_EQ(Query(request).response.error(), v1::ERRNO_EINVAL);
    }
    request.set_query_flags(16);
    request.set_address(UINT64_MAX);
    EXPECT_EQ(Query(request).response.error(), v1::ERRNO_ENOENT);
  }
}

// -- Page tables ----------------------------------------------------------------------------------

TEST_F(MapsTest, PagemapShowsPagesThatHaveAnEntry) {
  v1::ReadPagemapRequest request;
  request.set_mm(mm_);
  request.set_address(At(0).value());
  request.set_length(4 * kPageSize);
  const auto reply = Pagemap(request);
  ASSERT_EQ(reply.response.addresses_size(), 2);
  EXPECT_EQ(reply.response.addresses(1), At(1).value());
  EXPECT_EQ(reply.response.flags(0), 0x80u);
  EXPECT_EQ(reply.response.words(0), 7u);
  request.set_page_size(1);
  const auto first = Pagemap(request);
  EXPECT_EQ(first.response.addresses_size(), 1);
  request.set_page_token(first.response.next_page_token());
  const auto second = Pagemap(request);
  ASSERT_EQ(second.response.addresses_size(), 1);
  EXPECT_EQ(second.response.addresses(0), At(1).value());
  EXPECT_EQ(second.response.next_page_token(), "");
}

TEST_F(MapsTest, PagemapOfEverythingEndsWithUserSpace) {
  v1::ReadPagemapRequest request;
  request.set_mm(mm_);
  EXPECT_GE(Pagemap(request).response.addresses_size(), 3);
  for (const uint64_t address : {uint64_t{1} << 47, UINT64_MAX - kPageSize + 1}) {
    request.set_address(address);
    const auto reply = Pagemap(request);
    EXPECT_THAT(reply.status, IsOk());
    EXPECT_EQ(reply.response.addresses_size(), 0);
  }
  request.set_address(At(0).value());
  request.set_length(UINT64_MAX - kPageSize + 1);
  EXPECT_GE(Pagemap(request).response.addresses_size(), 3);
}

TEST_F(MapsTest, TablesComeFromTheRootDownAndPageByPage) {
  v1::DumpPageTablesRequest request;
  request.set_mm(mm_);
  request.set_address(At(1).value() + 5);
  request.set_length(1);
  const auto whole = Dump(request);
  ASSERT_THAT(whole.status, IsOk());
  ASSERT_EQ(whole.response.tables_size(), 4);
  EXPECT_EQ(whole.response.tables(0).level(), v1::TABLE_LEVEL_PGD);
  EXPECT_EQ(whole.response.tables(1).level(), v1::TABLE_LEVEL_PUD);
  EXPECT_EQ(whole.response.tables(2).level(), v1::TABLE_LEVEL_PMD);
  const v1::PageTable& leaf = whole.response.tables(3);
  EXPECT_EQ(leaf.level(), v1::TABLE_LEVEL_PTE);
  ASSERT_EQ(leaf.entry_indexes_size(), 1);
  EXPECT_EQ(leaf.entry_indexes(0), 1u);
  EXPECT_EQ(leaf.entry_values(0) & 1, 1u);
  request.set_page_size(1);
  std::vector<uint64_t> frames;
  do {
    const auto reply = Dump(request);
    ASSERT_EQ(reply.response.tables_size(), 1);
    frames.push_back(reply.response.tables(0).frame());
    request.set_page_token(reply.response.next_page_token());
  } while (!request.page_token().empty());
  ASSERT_EQ(frames.size(), 4u);
  EXPECT_EQ(frames[3], leaf.frame());
}

TEST_F(MapsTest, TablesOfAnyRangeCanBeAskedFor) {
  for (const uint64_t address : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 47, UINT64_MAX}) {
    for (const uint64_t length : {uint64_t{0}, uint64_t{1}, UINT64_MAX, UINT64_MAX - 4095}) {
      v1::DumpPageTablesRequest request;
      request.set_mm(mm_);
      request.set_address(address);
      request.set_length(length);
      EXPECT_THAT(Dump(request).status, IsOk()) << address << " " << length;
    }
  }
}

// -- Messages of limited size ---------------------------------------------------------------------

class SmallMessagesTest : public MapsTest {
 protected:
  SmallMessagesTest()
      : MapsTest([] {
          Limits limits;
          limits.max_message_bytes = 72 * Limits::kKib;
          return limits;
        }()) {}
};

TEST_F(SmallMessagesTest, APageEndsWhereTheMessageIsFull) {
  const MmUse use = served_.Use(mm_);
  for (uint64_t page = 100; page < 300; page += 2) {
    ASSERT_TRUE(use.mm()
                    .Mmap({.addr = At(page),
                           .length = kPageSize,
                           .prot = abi::kProtRead,
                           .flags = abi::kMapPrivate | abi::kMapAnonymous | abi::kMapFixed})
                    .ok());
  }
  auto request = Of<v1::ReadMapsRequest>();
  int vmas = 0;
  int pages = 0;
  do {
    const auto reply = Maps(request);
    ASSERT_THAT(reply.status, IsOk());
    vmas += reply.response.vmas_size();
    ++pages;
    request.set_page_token(reply.response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(vmas, 103);
  EXPECT_GT(pages, 1);
}

// -- Bad input ------------------------------------------------------------------------------------

class BadObserveTest : public MapsTest {
 protected:
  BadObserveTest() : state_(served_.State()) {}
  void TearDown() override { EXPECT_EQ(served_.State(), state_); }

  /// Every way to ask about an mm, with the name that it is given.
  [[nodiscard]] std::vector<std::function<grpc::Status(const std::string&)>> Methods() {
    return {
        [this](const std::string& name) {
          return Named<v1::ReadMapsRequest>(name, &ObserveStub::ReadMaps);
        },
        [this](const std::string& name) {
          return Named<v1::ReadSmapsRequest>(name, &ObserveStub::ReadSmaps);
        },
        [this](const std::string& name) {
          return Named<v1::ReadSmapsRollupRequest>(name, &ObserveStub::ReadSmapsRollup);
        },
        [this](const std::string& name) {
          return Named<v1::QueryVmaRequest>(name, &ObserveStub::QueryVma);
        },
        [this](const std::string& name) {
          return Named<v1::ReadPagemapRequest>(name, &ObserveStub::ReadPagemap);
        },
        [this](const std::string& name) {
          return Named<v1::DumpPageTablesRequest>(name, &ObserveStub::DumpPageTables);
        },
    };
  }

 private:
  template <class Request, class Method>
  grpc::Status Named(const std::string& name, Method method) {
    Request request;
    request.set_mm(name);
    return Call(method, request).status;
  }

  const std::string state_;
};

TEST_F(BadObserveTest, Names) {
  for (const auto& method : Methods()) {
    for (const char* name : {"", "nonsense", "machines/default", "machines/default/mms/-",
                             "machines/default/mms/1x", "machines/default/files/1"}) {
      EXPECT_THAT(method(name), IsRefusal(v1::ERROR_REASON_INVALID_NAME, "mm")) << name;
    }
    EXPECT_THAT(method("machines/default/mms/1"), IsRefusal(v1::ERROR_REASON_OTHER_INSTANCE, "mm"));
    const uint64_t number = std::stoull(mm_.substr(mm_.rfind('/') + 1));
    EXPECT_THAT(method(absl::StrCat("machines/default/mms/", number + 99)),
                IsRefusal(v1::ERROR_REASON_NOT_FOUND, "mm"));
    EXPECT_THAT(method(absl::StrCat("machines/other/mms/", number)),
                IsRefusal(v1::ERROR_REASON_NOT_FOUND, "mm"));
  }
}

TEST_F(BadObserveTest, ModesAndFormats) {
  for (const int value : {4, -1, 1000}) {
    const auto mode = static_cast<v1::ReadMode>(value);
    const auto is_refused =
        IsRefusal(v1::ERROR_REASON_UNKNOWN_ENUM_VALUE, "mode", std::to_string(value));
    EXPECT_THAT(Maps(Of<v1::ReadMapsRequest>(mode)).status, is_refused);
    EXPECT_THAT(Smaps(Of<v1::ReadSmapsRequest>(mode)).status, is_refused);
    EXPECT_THAT(Rollup(Of<v1::ReadSmapsRollupRequest>(mode)).status, is_refused);
    EXPECT_THAT(Query(Of<v1::QueryVmaRequest>(mode)).status, is_refused);
  }
  for (const int value : {3, -1, 1000}) {
    const auto format = static_cast<v1::MapsFormat>(value);
    const auto is_refused =
        IsRefusal(v1::ERROR_REASON_UNKNOWN_ENUM_VALUE, "format", std::to_string(value));
    auto maps = Of<v1::ReadMapsRequest>();
    maps.set_format(format);
    EXPECT_THAT(Maps(maps).status, is_refused);
    auto smaps = Of<v1::ReadSmapsRequest>();
    smaps.set_format(format);
    EXPECT_THAT(Smaps(smaps).status, is_refused);
    auto rollup = Of<v1::ReadSmapsRollupRequest>();
    rollup.set_format(format);
    EXPECT_THAT(Rollup(rollup).status, is_refused);
  }
}

TEST_F(BadObserveTest, PageTokens) {
  auto maps = Of<v1::ReadMapsRequest>();
  maps.set_page_size(1);
  const std::string token = Maps(maps).response.next_page_token();
  ASSERT_NE(token, "");
  const auto is_refused = IsRefusal(v1::ERROR_REASON_INVALID_PAGE_TOKEN, "page_token");
  for (const std::string& bad : {std::string("x"), token + "00", token.substr(1)}) {
    maps.set_page_token(bad);
    EXPECT_THAT(Maps(maps).status, is_refused) << bad;
  }
  auto smaps = Of<v1::ReadSmapsRequest>();
  smaps.set_page_token(token);
  EXPECT_THAT(Smaps(smaps).status, is_refused) << "of another list";
  v1::ReadPagemapRequest pagemap;
  pagemap.set_mm(mm_);
  pagemap.set_page_size(1);
  pagemap.set_page_token(Pagemap(pagemap).response.next_page_token());
  pagemap.set_length(kPageSize);
  EXPECT_THAT(Pagemap(pagemap).status, is_refused) << "of another range";
  v1::DumpPageTablesRequest tables;
  tables.set_mm(mm_);
  tables.set_page_token(token);
  EXPECT_THAT(Dump(tables).status, is_refused);
}

TEST_F(BadObserveTest, PlacesBetweenPages) {
  v1::ReadPagemapRequest request;
  request.set_mm(mm_);
  for (const uint64_t bad : {uint64_t{1}, At(0).value() + 8, UINT64_MAX}) {
    request.set_address(bad);
    EXPECT_THAT(Pagemap(request).status,
                IsRefusal(v1::ERROR_REASON_OUT_OF_RANGE, "address", std::to_string(bad)));
    request.set_address(0);
    request.set_length(bad);
    EXPECT_THAT(Pagemap(request).status,
                IsRefusal(v1::ERROR_REASON_OUT_OF_RANGE, "length", std::to_string(bad)));
    request.set_length(0);
  }
}

}  // namespace
}  // namespace faultline::server::testing

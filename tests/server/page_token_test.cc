// SPDX-License-Identifier: Apache-2.0
//
// Page tokens lead on in the list that gave them, and nothing else is taken for one: not a part of
// one, not another list's or instance's, not one with a digit changed.
#include "server/page_token.h"

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

namespace faultline::server {
namespace {

constexpr const char* kList = "ListMms machines/default";
const Epoch kEpoch(0x1234'5678'9abc'def0);

bool IsRefused(OrRefusal<std::string> position) {
  return !position.ok() && position.refusal().reason == v1::ERROR_REASON_INVALID_PAGE_TOKEN &&
         position.refusal().field == "page_token" && !position.refusal().allowed.empty();
}

TEST(PageTokenTest, GivesItsPositionBack) {
  for (const std::string position : {"a", "default", "m-1", "\x01\xff"}) {
    auto found = PagePosition(kEpoch, kList, PageToken(kEpoch, kList, std::string_view(position)));
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(*found, position);
  }
  for (const uint64_t number : {uint64_t{0}, uint64_t{1}, UINT64_MAX}) {
    auto found = PageNumber(kEpoch, kList, PageToken(kEpoch, kList, number));
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(*found, number);
  }
}

TEST(PageTokenTest, NoTokenIsTheBeginning) {
  auto position = PagePosition(kEpoch, kList, "");
  ASSERT_TRUE(position.ok());
  EXPECT_EQ(*position, "");
  auto number = PageNumber(kEpoch, kList, "");
  ASSERT_TRUE(number.ok());
  EXPECT_EQ(*number, 0U);
}

TEST(PageTokenTest, OfAnotherListOrInstanceIsRefused) {
  const std::string token = PageToken(kEpoch, kList, uint64_t{42});
  EXPECT_TRUE(IsRefused(PagePosition(kEpoch, "ListMms machines/other", token)));
  EXPECT_TRUE(IsRefused(PagePosition(kEpoch, "ListFiles machines/default", token)));
  EXPECT_TRUE(IsRefused(PagePosition(Epoch(kEpoch.value() + 1), kList, token)));
}

TEST(PageTokenTest, CutOrChangedAnywhereItIsRefused) {
  const std::string token = PageToken(kEpoch, kList, uint64_t{42});
  for (size_t length = 1; length < token.size(); ++length) {
    EXPECT_TRUE(IsRefused(PagePosition(kEpoch, kList, token.substr(0, length)))) << length;
  }
  EXPECT_TRUE(IsRefused(PagePosition(kEpoch, kList, token + "00")));
  for (size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == '0' ? '1' : '0';
    EXPECT_TRUE(IsRefused(PagePosition(kEpoch, kList, changed))) << i;
    changed[i] = 'x';
    EXPECT_TRUE(IsRefused(PagePosition(kEpoch, kList, changed))) << i;
  }
  EXPECT_TRUE(IsRefused(PagePosition(kEpoch, kList, "next")));
  EXPECT_TRUE(IsRefused(PagePosition(kEpoch, kList, std::string(100'000, '0'))));
}

TEST(PageTokenTest, OfNoNumberIsNoTokenOfNumbers) {
  for (const std::string_view position : {"default", "1x", "-1", "99999999999999999999"}) {
    auto number = PageNumber(kEpoch, kList, PageToken(kEpoch, kList, position));
    EXPECT_FALSE(number.ok()) << position;
  }
}

TEST(PageTokenTest, SizesAreBounded) {
  const Limits limits{.max_page_size = 10};
  EXPECT_EQ(PageSize(0, 5, limits), 5U);
  EXPECT_EQ(PageSize(0, 50, limits), 10U);
  EXPECT_EQ(PageSize(7, 5, limits), 7U);
  EXPECT_EQ(PageSize(UINT32_MAX, 5, limits), 10U);
}

}  // namespace
}  // namespace faultline::server

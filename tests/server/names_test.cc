// SPDX-License-Identifier: Apache-2.0
//
// Names: one form for each thing, the same when written and read again, and the limits of ids and
// numbers that common.proto gives.
#include "server/names.h"

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

namespace faultline::server {
namespace {

constexpr uint64_t kGreatest = (uint64_t{1} << 53) - 1;

TEST(NamesTest, WhatIsWrittenIsReadAgain) {
  EXPECT_EQ(ParseMachineName(MachineName("m-1")), "m-1");
  for (const uint64_t number : {uint64_t{0}, uint64_t{7}, kGreatest}) {
    const std::string mm = MmName("default", number);
    const auto parsed = ParseMmName(mm);
    ASSERT_TRUE(parsed.has_value()) << mm;
    EXPECT_EQ(parsed->machine, "default");
    EXPECT_EQ(parsed->number, number);
    const std::string file = FileName("default", number);
    const auto parsed_file = ParseFileName(file);
    ASSERT_TRUE(parsed_file.has_value()) << file;
    EXPECT_EQ(parsed_file->number, number);
    const std::string thread = ThreadNameOf(mm, "t1");
    const auto parsed_thread = ParseThreadName(thread);
    ASSERT_TRUE(parsed_thread.has_value()) << thread;
    EXPECT_EQ(parsed_thread->mm.number, number);
    EXPECT_EQ(parsed_thread->thread, "t1");
  }
}

TEST(NamesTest, IdsHaveTheirAlphabetAndLength) {
  for (const char* id : {"a", "z9", "a-", "default", "m--0"}) EXPECT_TRUE(IsId(id)) << id;
  EXPECT_TRUE(IsId(std::string(63, 'a')));
  EXPECT_FALSE(IsId(std::string(64, 'a')));
  for (const char* id : {"", "9a", "-a", "A", "aB", "a_b", "a b", "a/b", "a.b", "\xc3\xa4"}) {
    EXPECT_FALSE(IsId(id)) << id;
  }
  EXPECT_FALSE(IsId(std::string("a\0b", 3)));
}

TEST(NamesTest, NumbersHaveOneFormAndAnEnd) {
  for (const char* number : {"", "00", "01", "+1", "-1", " 1", "1 ", "1x", "0x1", "1.0", "1e3",
                             "9007199254740992", "18446744073709551616", "99999999999999999999"}) {
    EXPECT_FALSE(ParseMmName(std::string("machines/m/mms/") + number)) << number;
    EXPECT_FALSE(ParseFileName(std::string("machines/m/files/") + number)) << number;
  }
  EXPECT_TRUE(ParseMmName("machines/m/mms/9007199254740991"));
}

TEST(NamesTest, OtherFormsAreNone) {
  for (const char* name : {"", "/", "machines", "machines/", "machines//", "machines/m/", "m",
                           "/machines/m", "Machines/m", "machines/m/mms", "machines/m n"}) {
    EXPECT_FALSE(ParseMachineName(name)) << name;
  }
  for (const char* name :
       {"", "machines/m", "machines/m/", "machines/m/mms", "machines/m/mms/", "machines//mms/1",
        "machines/m/mms/1/", "machines/m/files/1", "machines/m//mms/1",
        "machines/m/mms/1/threads/t", "projects/m/mms/1", "machines/M/mms/1"}) {
    EXPECT_FALSE(ParseMmName(name)) << name;
  }
  for (const char* name : {"machines/m/mms/1", "machines/m/files/1/", "machines/m/files/"}) {
    EXPECT_FALSE(ParseFileName(name)) << name;
  }
  for (const char* name : {"machines/m/mms/1", "machines/m/mms/1/threads/",
                           "machines/m/mms/1/threads/T", "machines/m/mms/1/threads/t/x"}) {
    EXPECT_FALSE(ParseThreadName(name)) << name;
  }
  EXPECT_FALSE(ParseMmName(std::string("machines/m/mms/1\0", 17)));
}

}  // namespace
}  // namespace faultline::server

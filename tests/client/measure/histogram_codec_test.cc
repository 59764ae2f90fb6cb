// SPDX-License-Identifier: Apache-2.0
//
// Histograms as bytes: what was encoded is decoded, and nothing else is. Damage is tried at every
// byte; damage that the checksum cannot see, since it was made with it, is tried number by number.

#include <rapidcheck.h>
#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/measure/histogram.h"

namespace faultline::client {
namespace {

using ::testing::HasSubstr;

Histogram Sample() {
  Histogram histogram;
  for (uint64_t value = 1; value < 1'000'000'000; value = value * 3 + 1)
    histogram.RecordMany(value, value % 300 + 1);
  return histogram;
}

std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>((value & 0x7f) | 0x80));
  bytes.push_back(static_cast<char>(value));
  return bytes;
}

/// With a checksum that fits.
std::string Sealed(std::string bytes) {
  const uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  for (unsigned i = 0; i < 4; ++i) bytes.push_back(static_cast<char>((crc >> (8 * i)) & 0xff));
  return bytes;
}

std::string Made(const std::vector<uint64_t>& numbers) {
  std::string bytes("FLHG\x01");
  for (const uint64_t number : numbers) bytes += Varint(number);
  return Sealed(bytes);
}

std::string RefusalOf(std::string_view bytes) {
  const absl::StatusOr<Histogram> histogram = Histogram::Decode(bytes);
  if (histogram.ok()) return "none";
  EXPECT_EQ(histogram.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(histogram.status().message());
}

TEST(HistogramCodecTest, AnyHistogramIsDecodedAsItWasEncoded) {
  EXPECT_TRUE(rc::check("round trip", [](const std::vector<uint64_t>& values) {
    Histogram histogram;
    for (const uint64_t value : values) histogram.RecordMany(value >> (value % 64), 1 + value % 9);
    const absl::StatusOr<Histogram> again = Histogram::Decode(histogram.Encode());
    if (!again.ok()) RC_FAIL(again.status().ToString());
    RC_ASSERT(*again == histogram);
  }));
}

TEST(HistogramCodecTest, TheEmptyOneAndTheGreatestNumbersComeBack) {
  Histogram histogram;
  for (int i = 0; i < 2; ++i) {
    const absl::StatusOr<Histogram> again = Histogram::Decode(histogram.Encode());
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(*again, histogram);
    histogram.RecordMany(std::numeric_limits<uint64_t>::max(), Histogram::kMaxCount);
  }
}

TEST(HistogramCodecTest, PartsOfManyProcessesMergeToTheWhole) {
  Histogram whole;
  Histogram merged;
  for (uint64_t process = 0; process < 4; ++process) {
    Histogram part;
    for (uint64_t i = 0; i < 1000; ++i) part.Record(process * 1000 + i * i);
    whole.Merge(part);
    const absl::StatusOr<Histogram> sent = Histogram::Decode(part.Encode());
    ASSERT_TRUE(sent.ok()) << sent.status();
    merged.Merge(*sent);
  }
  EXPECT_EQ(merged, whole);
  EXPECT_EQ(merged.Encode(), whole.Encode());
}

TEST(HistogramCodecTest, TakesFewBytesPerBucketInUse) {
  Histogram histogram;
  for (uint64_t i = 0; i < 1'000'000; ++i) histogram.Record(20'000 + i % 1000);
  EXPECT_LT(histogram.Encode().size(), 4000U);
}

TEST(HistogramCodecTest, IsRefusedIfCutAtAnyByte) {
  const std::string bytes = Sample().Encode();
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_NE(RefusalOf(std::string_view(bytes).substr(0, size)), "none") << size;
}

TEST(HistogramCodecTest, IsRefusedIfAnyBitIsTurned) {
  const std::string bytes = Sample().Encode();
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_NE(RefusalOf(damaged), "none") << bit;
  }
}

TEST(HistogramCodecTest, IsRefusedWithSomethingBehindIt) {
  EXPECT_THAT(RefusalOf(Sample().Encode() + '\0'), HasSubstr("cut or damaged"));
}

TEST(HistogramCodecTest, SaysWhatIsWrong) {
  EXPECT_THAT(RefusalOf(""), HasSubstr("none"));
  EXPECT_THAT(RefusalOf("PNG and more"), HasSubstr("none"));
  EXPECT_THAT(RefusalOf("FLHG"), HasSubstr("cut"));
  EXPECT_THAT(RefusalOf(Sealed("FLHG\x02rest")), HasSubstr("version 2"));
}

TEST(HistogramCodecTest, WhatRecordCannotMakeIsRefusedDespiteItsChecksum) {
  // count, min, max, sum, buckets, then distance and count of each.
  ASSERT_EQ(RefusalOf(Made({3, 5, 7, 0, 19, 2, 5, 1, 2, 2})), "none");
  EXPECT_THAT(RefusalOf(Made({4, 5, 7, 0, 19, 2, 5, 1, 2, 2})), HasSubstr("add up"));
  EXPECT_THAT(RefusalOf(Made({2, 5, 7, 0, 19, 2, 5, 1, 2, 2})), HasSubstr("add up"));
  EXPECT_THAT(RefusalOf(Made({3, 5, 7, 0, 19, 2, 5, 0, 2, 3})), HasSubstr("add up"));
  EXPECT_THAT(RefusalOf(Made({3, 4, 7, 0, 19, 2, 5, 1, 2, 2})), HasSubstr("least value"));
  EXPECT_THAT(RefusalOf(Made({3, 5, 8, 0, 19, 2, 5, 1, 2, 2})), HasSubstr("greatest value"));
  EXPECT_THAT(RefusalOf(Made({3, 5, 7, 0, 20, 2, 5, 1, 2, 2})), HasSubstr("sum"));
  EXPECT_THAT(RefusalOf(Made({3, 5, 7, 1, 19, 2, 5, 1, 2, 2})), HasSubstr("sum"));
  EXPECT_THAT(RefusalOf(Made({3, 5, 7, 0, 19, 2, 5, 1, 0, 2})), HasSubstr("bucket"));
  EXPECT_THAT(RefusalOf(Made({3, 5, 7, 0, 19, 2, 5, 1, Histogram::kBuckets, 2})),
              HasSubstr("bucket"));
  EXPECT_THAT(RefusalOf(Made({3, 5, 7, 0, 19, 3, 5, 1, 2, 2})), HasSubstr("not as long"));
  EXPECT_THAT(RefusalOf(Made({3, 5, 7, 0, 19, 1, 5, 1, 2, 2})), HasSubstr("not as long"));
  EXPECT_THAT(RefusalOf(Made({0, 0, 1, 0, 0, 0})), HasSubstr("greatest value"));
  EXPECT_THAT(RefusalOf(Made({0, 1, 1, 0, 0, 0})), HasSubstr("least value"));
  const uint64_t many = Histogram::kMaxCount + 1;
  EXPECT_THAT(RefusalOf(Made({many, 0, 0, 0, 0, 1, 0, many})), HasSubstr("too many"));
  EXPECT_THAT(RefusalOf(Made({0, 0, 0, 0, 0, std::numeric_limits<uint64_t>::max()})),
              HasSubstr("not as long"));
}

TEST(HistogramCodecTest, NumbersHaveOneSpelling) {
  const std::string head("FLHG\x01");
  ASSERT_EQ(RefusalOf(Sealed(head + std::string(6, '\0'))), "none");
  EXPECT_THAT(RefusalOf(Sealed(head + "\x80" + std::string(6, '\0'))), HasSubstr("not as long"));
  const std::string above_64_bits = std::string(9, '\xff') + "\x02";
  EXPECT_THAT(RefusalOf(Sealed(head + above_64_bits + std::string(5, '\0'))),
              HasSubstr("not as long"));
}

}  // namespace
}  // namespace faultline::client

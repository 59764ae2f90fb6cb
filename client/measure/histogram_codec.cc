// SPDX-License-Identifier: Apache-2.0
//
// A histogram as bytes, to be kept in a file or sent to where it is merged.
//
//   "FLHG"                 what it is
//   01                     version; the precision is part of it
//   count, min, max, sum / 2^64, sum % 2^64, buckets in use
//                          varints: seven bits a byte, the lowest first; all 0 if nothing was
//                          recorded
//   for each of these: distance from the one before (the first: from bucket 0), count
//   CRC-32 of all before   four bytes, the lowest first
//
// Every number has one spelling, so equal histograms are equal bytes. The reader believes nothing:
// the checksum finds damage, and what was damaged before the checksum was made must still be a
// histogram: counts that add up, the least and the greatest value in the outermost buckets, a sum
// that values within these buckets can have.
#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/numeric/int128.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "client/measure/histogram.h"

namespace faultline::client {
namespace {

constexpr std::string_view kMagic = "FLHG";
constexpr char kVersion = 1;
constexpr std::size_t kChecksumBytes = 4;

void Append(std::string& bytes, uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>((value & 0x7f) | 0x80));
  bytes.push_back(static_cast<char>(value));
}

std::string ChecksumOf(std::string_view bytes) {
  const uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  std::string text;
  for (unsigned i = 0; i < kChecksumBytes; ++i)
    text.push_back(static_cast<char>((crc >> (8 * i)) & 0xff));
  return text;
}

absl::Status Wrong(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("histogram: ", what));
}

/// Takes numbers off the front. After the first that is none, all are 0 and ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  uint64_t Next() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      const uint64_t bits = byte & 0x7fU;
      if (shift == 63 && bits > 1) break;
      value |= bits << shift;
      if (byte >= 0x80) continue;
      if (byte == 0 && shift > 0) break;  // a longer spelling than need be
      return value;
    }
    ok_ = false;
    rest_ = {};
    return 0;
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool AtEnd() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

struct Bucket {
  std::size_t index;
  uint64_t count;
};

/// What the bytes say, not yet believed.
struct Parts {
  uint64_t count = 0;
  uint64_t min = 0;
  uint64_t max = 0;
  absl::uint128 sum = 0;
  /// In ascending order, none of them beyond the last bucket.
  std::vector<Bucket> buckets;
};

absl::StatusOr<Parts> Parse(std::string_view content) {
  Reader reader(content);
  Parts parts;
  parts.count = reader.Next();
  parts.min = reader.Next();
  parts.max = reader.Next();
  const uint64_t sum_high = reader.Next();
  parts.sum = absl::MakeUint128(sum_high, reader.Next());
  const uint64_t runs = reader.Next();
  std::size_t bucket = 0;
  for (uint64_t i = 0; i < runs; ++i) {
    const uint64_t distance = reader.Next();
    const uint64_t count = reader.Next();
    if (!reader.ok()) break;
    if (distance >= Histogram::kBuckets - bucket || (distance == 0 && i > 0))
      return Wrong("a bucket that there is not");
    bucket += distance;
    parts.buckets.push_back({.index = bucket, .count = count});
  }
  if (!reader.ok() || !reader.AtEnd()) return Wrong("not as long as it says");
  return parts;
}

/// OK if values can have been recorded that make this.
absl::Status Check(const Parts& parts) {
  if (parts.count > Histogram::kMaxCount) return Wrong("too many values");
  uint64_t missing = parts.count;
  absl::uint128 least_sum = 0;
  absl::uint128 greatest_sum = 0;
  for (const Bucket& bucket : parts.buckets) {
    if (bucket.count == 0 || bucket.count > missing) return Wrong("counts that do not add up");
    missing -= bucket.count;
    least_sum += absl::uint128(Histogram::LowestOf(bucket.index)) * bucket.count;
    greatest_sum += absl::uint128(Histogram::HighestOf(bucket.index)) * bucket.count;
  }
  if (missing != 0) return Wrong("counts that do not add up");
  if (parts.sum < least_sum || parts.sum > greatest_sum)
    return Wrong("a sum that its values cannot have");
  const bool empty = parts.buckets.empty();
  if (empty ? parts.min != 0 : Histogram::BucketOf(parts.min) != parts.buckets.front().index)
    return Wrong("a least value that was not counted");
  if (parts.min > parts.max ||
      (empty ? parts.max != 0 : Histogram::BucketOf(parts.max) != parts.buckets.back().index))
    return Wrong("a greatest value that was not counted");
  return absl::OkStatus();
}

/// OK with what is between head and checksum.
absl::StatusOr<std::string_view> ContentOf(std::string_view bytes) {
  if (bytes.substr(0, kMagic.size()) != kMagic) return Wrong("these bytes are none");
  const std::size_t head = kMagic.size() + 1;
  if (bytes.size() < head + kChecksumBytes) return Wrong("cut");
  if (bytes[kMagic.size()] != kVersion)
    return Wrong(absl::StrCat("of version ", static_cast<int>(bytes[kMagic.size()]), "; this is ",
                              static_cast<int>(kVersion)));
  const std::string_view checked = bytes.substr(0, bytes.size() - kChecksumBytes);
  if (ChecksumOf(checked) != bytes.substr(checked.size())) return Wrong("cut or damaged");
  return checked.substr(head);
}

}  // namespace

std::string Histogram::Encode() const {
  std::string bytes(kMagic);
  bytes.push_back(kVersion);
  std::string runs;
  uint64_t number_of_runs = 0;
  std::size_t last = 0;
  for (std::size_t i = BucketOf(min()); count_ > 0 && i <= BucketOf(max_); ++i) {
    if (counts_[i] == 0) continue;
    Append(runs, i - last);
    Append(runs, counts_[i]);
    last = i;
    ++number_of_runs;
  }
  for (const uint64_t number :
       {count_, min(), max(), absl::Uint128High64(sum_), absl::Uint128Low64(sum_), number_of_runs})
    Append(bytes, number);
  bytes += runs;
  return bytes + ChecksumOf(bytes);
}

absl::StatusOr<Histogram> Histogram::Decode(std::string_view bytes) {
  const absl::StatusOr<std::string_view> content = ContentOf(bytes);
  if (!content.ok()) return content.status();
  const absl::StatusOr<Parts> parts = Parse(*content);
  if (!parts.ok()) return parts.status();
  if (absl::Status status = Check(*parts); !status.ok()) return status;

  Histogram histogram;
  for (const Bucket& bucket : parts->buckets) histogram.counts_[bucket.index] = bucket.count;
  histogram.count_ = parts->count;
  histogram.sum_ = parts->sum;
  if (parts->count > 0) histogram.min_ = parts->min;
  histogram.max_ = parts->max;
  return histogram;
}

}  // namespace faultline::client

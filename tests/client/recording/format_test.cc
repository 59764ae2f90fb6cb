// SPDX-License-Identifier: Apache-2.0
//
// The file of a recording: what was written is read again, and nothing else is. Damage is tried at
// every byte of a file that has every sort of chunk; damage that a checksum cannot see, since it
// was made with it, is tried on the content of a chunk.

#include <rapidcheck.h>

#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <gtest/gtest.h>

#include "client/recording/check.h"
#include "client/recording/operation_columns.h"
#include "client/recording/reader.h"
#include "client/recording/recording.h"
#include "client/recording/writer.h"
#include "tests/client/recording/random_recording.h"

namespace faultline::client {
namespace {

/// Some of everything.
Recording Sample() {
  return RecordingFrom({.files = {1, 2},
                        .threads = {3, 4, 5},
                        .images = {6, 7, 8},
                        .operations = {9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20},
                        .marks = {21, 22}});
}

TEST(RecordingFormatTest, AnyRecordingIsReadAsItWasWritten) {
  EXPECT_TRUE(rc::check(
      "round trip", [](const std::vector<uint64_t>& files, const std::vector<uint64_t>& threads,
                       const std::vector<uint64_t>& images, const std::vector<uint64_t>& operations,
                       const std::vector<uint64_t>& marks) {
        const Recording recording = RecordingFrom({.files = files,
                                                   .threads = threads,
                                                   .images = images,
                                                   .operations = operations,
                                                   .marks = marks});
        const absl::StatusOr<Recording> again = ReadRecording(BytesOf(recording));
        if (!again.ok()) RC_FAIL(again.status().ToString());
        RC_ASSERT(*again == recording);
      }));
}

TEST(RecordingFormatTest, MoreOperationsThanAChunkHoldsComeBackInOrder) {
  RecordingSeed seed{.files = {1}, .threads = {2, 3}, .images = {4}, .operations = {}, .marks = {}};
  for (uint64_t i = 0; i < 20'000; ++i) seed.operations.push_back(i);
  const Recording recording = RecordingFrom(seed);
  const absl::StatusOr<Recording> again = ReadRecording(BytesOf(recording));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, recording);
}

TEST(RecordingFormatTest, CutAtEveryByteIsRefusedWithThePlace) {
  const std::string bytes = BytesOf(Sample());
  ASSERT_TRUE(ReadRecording(bytes).ok());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const absl::StatusOr<Recording> read = ReadRecording(bytes.substr(0, size));
    ASSERT_FALSE(read.ok()) << "cut at byte " << size;
    EXPECT_EQ(read.status().code(), absl::StatusCode::kDataLoss) << read.status();
    EXPECT_NE(read.status().message().find("byte " + std::to_string(size)), std::string::npos)
        << "cut at byte " << size << ": " << read.status();
  }
}

TEST(RecordingFormatTest, EveryChangedByteIsNoticed) {
  const std::string bytes = BytesOf(Sample());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      EXPECT_FALSE(ReadRecording(damaged).ok()) << "byte " << at << " xor " << flip;
    }
  }
}

TEST(RecordingFormatTest, BytesBehindTheEndAreRefused) {
  const absl::StatusOr<Recording> read = ReadRecording(BytesOf(Sample()) + "x");
  ASSERT_FALSE(read.ok());
  EXPECT_NE(read.status().message().find("1 bytes follow the end"), std::string::npos)
      << read.status();
}

TEST(RecordingFormatTest, AnotherVersionAndAnotherFileAreSaidToBeThat) {
  std::string other = BytesOf(Sample());
  other[10] = 7;
  const absl::StatusOr<Recording> version = ReadRecording(other);
  EXPECT_EQ(version.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(version.status().message(), "a recording of version 7, this program reads 1");
  const absl::StatusOr<Recording> file = ReadRecording("PERFILE2 and so on");
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(RecordingFormatTest, ContentOfOperationsThatIsBadWithoutACheckSumEndsInAnError) {
  OperationEncoder encoder;
  for (const Operation& op : Sample().operations) encoder.Add(op);
  const std::string content = encoder.Take();
  std::vector<Operation> operations;
  ASSERT_TRUE(DecodeOperations(content, operations).ok());
  for (std::size_t at = 0; at < content.size(); ++at) {
    operations.clear();
    EXPECT_FALSE(DecodeOperations(content.substr(0, at), operations).ok()) << at;
    std::string damaged = content;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x80);
    operations.clear();
    // It may be another valid content; what matters is that it ends and stays within its bytes.
    (void)DecodeOperations(damaged, operations);
    EXPECT_LE(operations.size(), content.size());
  }
}

TEST(RecordingFormatTest, IndicesOfNothingAreRefusedByWriterAndNamed) {
  Recording recording = Sample();
  recording.operations[3].thread = 77;
  std::ostringstream out;
  const absl::Status status = WriteRecording(recording, out);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "operation 3: thread 77 of 3");
}

TEST(RecordingFormatTest, MapsThatOverlapAreRefused) {
  Recording recording = Sample();
  recording.images[1].start = {{.start = 0x1000, .end = 0x3000, .name = ""},
                               {.start = 0x2000, .end = 0x4000, .name = ""}};
  EXPECT_EQ(CheckRecording(recording).message(), "image 1: start maps: 2000-4000 behind 3000");
}

TEST(RecordingFormatTest, AFileThatIsNotThereIsNamed) {
  const absl::StatusOr<Recording> read = LoadRecording("no/such/file");
  EXPECT_EQ(read.status().message(), "no/such/file: cannot be opened");
}

TEST(RecordingFormatTest, SavedFilesAreLoaded) {
  const std::string path = testing::TempDir() + "/faultline_format_test.rec";
  ASSERT_TRUE(SaveRecording(Sample(), path).ok());
  const absl::StatusOr<Recording> again = LoadRecording(path);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, Sample());
}

}  // namespace
}  // namespace faultline::client

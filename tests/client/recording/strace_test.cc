// SPDX-License-Identifier: Apache-2.0
//
// What the importer of strace's text makes of its shapes: to a file and to a terminal, split calls,
// flags by name and by number, calls that fail, threads and processes; what it refuses; and a real
// recording with 49 processes and threads.

#include "client/recording/strace.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <gtest/gtest.h>

#include "client/recording/import.h"
#include "client/recording/line_reader.h"
#include "client/recording/reader.h"
#include "client/recording/recording.h"
#include "client/recording/strace_values.h"
#include "client/recording/summary.h"
#include "tests/client/recording/random_recording.h"
#include "tests/client/recording/traces.h"

namespace faultline::client {
namespace {

absl::StatusOr<Recording> Import(const std::string& text, Losses losses = Losses::kRefuse) {
  LineReader lines("strace.txt", text);
  return ImportStrace(lines, {.losses = losses, .command = "", .host = {}, .maps = {}});
}

Recording Imported(const std::string& text) {
  const absl::StatusOr<Recording> recording = Import(text);
  EXPECT_TRUE(recording.ok()) << recording.status();
  return recording.ok() ? *recording : Recording();
}

void ExpectLoss(const std::string& text, const std::string& message, MarkKind kind) {
  const absl::StatusOr<Recording> refused = Import(text);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(refused.status().message(), message);
  const absl::StatusOr<Recording> marked = Import(text, Losses::kMark);
  ASSERT_TRUE(marked.ok()) << marked.status();
  EXPECT_TRUE(
      std::ranges::any_of(marked->marks, [&](const Mark& mark) { return mark.kind == kind; }));
}

std::vector<OpKind> KindsOf(const Recording& recording) {
  std::vector<OpKind> kinds;
  kinds.reserve(recording.operations.size());
  for (const Operation& op : recording.operations) kinds.push_back(op.kind);
  return kinds;
}

const std::string kBrk = "5  100.000001 brk(NULL)     = 0x5000 <0.000004>\n";
const std::string kEnd = "5  200.000000 +++ exited with 0 +++\n";

TEST(StraceTest, CallsHaveTheirArgumentsResultsAndTimes) {
  const Recording recording =
      Imported(kBrk +
               "5  100.000100 mmap(NULL, 51791, PROT_READ|PROT_WRITE, "
               "MAP_PRIVATE|MAP_FIXED|MAP_DENYWRITE, 3, 0x26000) = 0x7f0000000000 <0.000018>\n" +
               "5  100.000200 munmap(0x1, 18446744073709551615) = -1 EINVAL (Invalid argument) "
               "<0.000002>\n" +
               "5  100.000300 madvise(0x7f504c418000, 65536, MADV_DONTNEED) = 0 <0.000031>\n" +
               "5  100.000400 mremap(0x1000, 4096, 8192, MREMAP_MAYMOVE) = 0x3000 <0.000031>\n" +
               "5  100.000500 mprotect(0x1000, 4096, 0x3) = 0\n" + kEnd);
  ASSERT_EQ(KindsOf(recording),
            (std::vector{OpKind::kBrk, OpKind::kMmap, OpKind::kMunmap, OpKind::kMadvise,
                         OpKind::kMremap, OpKind::kMprotect, OpKind::kExitProcess}));
  EXPECT_EQ(recording.images[0].brk_start, 0x5000u);
  const Operation& mmap = recording.operations[1];
  EXPECT_EQ(mmap.args, (std::array<uint64_t, 6>{0, 51791, 3, 0x812, 3, 0x26000}));
  EXPECT_EQ(mmap.result, 0x7f0000000000u);
  EXPECT_EQ(mmap.time_ns, 99'000u);
  EXPECT_EQ(mmap.duration_ns, 18'000u);
  EXPECT_EQ(recording.operations[2].error, 22u);
  EXPECT_EQ(recording.operations[2].args[1], UINT64_MAX);
  EXPECT_EQ(recording.operations[3].args[2], 4u);
  EXPECT_EQ(recording.operations[5].args[2], 3u);
}

TEST(StraceTest, ValuesAreReadByNameByNumberAndWithWhatStraceAdds) {
  const auto value = [](const std::string& text) {
    uint64_t number = 0;
    EXPECT_TRUE(ParseValue(text, number)) << text;
    return number;
  };
  EXPECT_EQ(value("MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|21<<MAP_HUGE_SHIFT"),
            0x40022u | (21u << 26));
  EXPECT_EQ(value("3</usr/lib/a|b (deleted)>"), 3u);
  EXPECT_EQ(value("-1"), UINT64_MAX);
  EXPECT_EQ(value("0xff /* MADV_??? */"), 255u);
  uint64_t number = 0;
  EXPECT_FALSE(ParseValue("MAP_NEVER_HEARD_OF", number));
  EXPECT_FALSE(ParseValue("", number));
  EXPECT_EQ(SplitArguments("\"a, b)\", [\"c\", \"d\"], {x=1, y=2}, 4"),
            (std::vector<std::string_view>{"\"a, b)\"", "[\"c\", \"d\"]", "{x=1, y=2}", "4"}));
  EXPECT_EQ(ErrorNumber("ENOMEM"), 12u);
  EXPECT_EQ(ErrorNumber("ENONSENSE"), 0u);
}

TEST(StraceTest, SplitCallsTakeEffectWhenTheyAreResumed) {
  const Recording recording = Imported(
      kBrk +
      "5  100.000100 clone(child_stack=0x1, flags=CLONE_VM|CLONE_THREAD, tls=0x2) = 6 <0.000002>\n"
      "5  100.000200 munmap(0x1000, 4096 <unfinished ...>\n"
      "6  100.000210 mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x9000 "
      "<0.000005>\n"
      "5  100.000220 <... munmap resumed>) = 0 <0.000003>\n"
      "6  100.000230 exit(0) = ?\n"
      "6  100.000240 +++ exited with 0 +++\n" +
      kEnd);
  EXPECT_EQ(KindsOf(recording),
            (std::vector{OpKind::kBrk, OpKind::kCloneThread, OpKind::kMmap, OpKind::kMunmap,
                         OpKind::kExitThread, OpKind::kExitProcess}));
  EXPECT_EQ(recording.operations[3].duration_ns, 20'000u);
  EXPECT_EQ(recording.processes.size(), 1u);
}

TEST(StraceTest, ChildrenMayActBeforeTheirClonesReturn) {
  // Two processes fork at once, and the children come in the other order.
  const Recording recording = Imported(
      kBrk +
      "5  100.000100 fork() = 6 <0.000002>\n"
      "5  100.000200 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD <unfinished ...>\n"
      "6  100.000201 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD <unfinished ...>\n"
      "8  100.000210 brk(NULL) = 0x5000\n"
      "7  100.000211 brk(NULL) = 0x5000\n"
      "5  100.000220 <... clone resumed>, child_tidptr=0x1) = 7 <0.000003>\n"
      "6  100.000220 <... clone resumed>, child_tidptr=0x1) = 8 <0.000003>\n"
      "8  100.000240 +++ exited with 0 +++\n"
      "7  100.000240 +++ killed by SIGKILL +++\n"
      "6  100.000240 +++ exited with 3 +++\n" +
      kEnd);
  ASSERT_EQ(recording.processes.size(), 4u);
  for (const Process& process : recording.processes) {
    if (process.pid == 7) {
      EXPECT_EQ(recording.processes[process.parent].pid, 5u);
    }
    if (process.pid == 8) {
      EXPECT_EQ(recording.processes[process.parent].pid, 6u);
    }
  }
}

TEST(StraceTest, VforkSharesTheImageUntilItsExec) {
  const Recording recording = Imported(kBrk +
                                       "5  100.000100 vfork( <unfinished ...>\n"
                                       "6  100.000200 brk(NULL) = 0x5000\n"
                                       "6  100.000300 execve(\"/bin/a long program name\", "
                                       "[\"a\"], 0x7f /* 3 vars */) = 0 <0.0001>\n"
                                       "6  100.000400 brk(NULL) = 0x8000\n"
                                       "5  100.000500 <... vfork resumed>) = 6 <0.000003>\n"
                                       "6  100.000600 +++ exited with 0 +++\n" +
                                       kEnd);
  ASSERT_EQ(KindsOf(recording),
            (std::vector{OpKind::kBrk, OpKind::kFork, OpKind::kBrk, OpKind::kExec, OpKind::kBrk,
                         OpKind::kExitProcess, OpKind::kExitProcess}));
  EXPECT_EQ(recording.operations[2].image, 0u);
  EXPECT_NE(recording.operations[4].image, 0u);
  const Image& image = recording.images[recording.operations[4].image];
  EXPECT_EQ(image.comm, "a long program ");
  EXPECT_EQ(image.brk_start, 0x8000u);
}

TEST(StraceTest, ATerminalHasTidsOnlyWhileThereAreSeveralThreads) {
  const Recording recording = Imported(
      "100.000001 brk(NULL) = 0x5000 <0.000004>\n"
      "100.000100 clone(child_stack=0x1, flags=CLONE_VM|CLONE_THREADstrace: Process 6 attached\n"
      ", tls=0x2) = 6 <0.000002>\n"
      "100.000150 brk(NULL) = 0x5000 <0.000002>\n"
      "[pid     5] 100.000200 brk(0x6000) = 0x6000 <0.000002>\n"
      "[pid     6] 100.000300 brk(0x7000) = 0x7000 <0.000002>\n"
      "[pid     6] 100.000400 +++ exited with 0 +++\n"
      "100.000500 brk(0x8000) = 0x8000 <0.000002>\n"
      "100.000600 +++ exited with 0 +++\n");
  ASSERT_EQ(recording.threads.size(), 2u);
  EXPECT_EQ(recording.threads[0].tid, 5u);
  EXPECT_EQ(recording.processes[0].pid, 5u);
  ASSERT_EQ(recording.operations.size(), 8u);
  EXPECT_EQ(recording.operations[2].thread, 0u);
  EXPECT_EQ(recording.operations[6].thread, 0u);
}

TEST(StraceTest, ATerminalMayNameTheFirstThreadAfterItsChild) {
  const Recording recording = Imported(
      "100.000001 brk(NULL) = 0x5000 <0.000004>\n"
      "100.000100 vfork(strace: Process 6 attached\n"
      " <unfinished ...>\n"
      "[pid     6] 100.000200 brk(NULL) = 0x5000 <0.000002>\n"
      "[pid     6] 100.000300 +++ exited with 0 +++\n"
      "[pid     5] 100.000400 <... vfork resumed>) = 6 <0.000083>\n"
      "100.000600 +++ exited with 0 +++\n");
  ASSERT_EQ(recording.processes.size(), 2u);
  EXPECT_EQ(recording.processes[0].pid, 5u);
  EXPECT_EQ(recording.processes[1].pid, 6u);
  EXPECT_EQ(recording.images.size(), 1u);
}

TEST(StraceTest, FilesHaveTheNamesThatStraceShows) {
  const Recording recording = Imported(
      kBrk +
      "5  100.000100 mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, 3</lib/a b.so>, 0) = 0x9000\n"
      "5  100.000200 mmap(0xa000, 4096, PROT_READ, MAP_PRIVATE|MAP_FIXED, 3</lib/a b.so>, 0x1000) "
      "= "
      "0xa000\n" +
      kEnd);
  ASSERT_EQ(recording.files.size(), 1u);
  EXPECT_EQ(recording.files[0].name, "/lib/a b.so");
  EXPECT_EQ(recording.operations[2].file, 0u);
}

TEST(StraceTest, HarmlessCallsAndSignalsAreLeftOut) {
  const Recording recording =
      Imported(kBrk +
               "5  100.000100 write(1, \"x) = 3\\n\", 7) = 7 <0.000002>\n"
               "5  100.000200 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---\n"
               "5  100.000300 execve(\"/a\", [\"a\"], 0x1 /* 1 var */) = -1 ENOENT (No such file) "
               "<0.0001>\n" +
               kEnd);
  EXPECT_EQ(KindsOf(recording), (std::vector{OpKind::kBrk, OpKind::kExitProcess}));
}

TEST(StraceTest, WhatIsNotRightIsRefusedWithItsLine) {
  ExpectLoss(kBrk + "5  100.1 shmat(1, NULL, 0) = 0x9000\n" + kEnd,
             "strace.txt:2: cannot be imported: shmat", MarkKind::kUnreadLine);
  ExpectLoss(kBrk + "5  100.1 mmap9(1) = 0x9000\n" + kEnd,
             "strace.txt:2: unknown system call, which may change mappings: mmap9",
             MarkKind::kUnreadLine);
  ExpectLoss(kBrk + "5  100.1 munmap(0x1000, PAGE) = 0\n" + kEnd,
             "strace.txt:2: arguments or result of munmap cannot be read: 0x1000, PAGE) = 0",
             MarkKind::kUnreadLine);
  ExpectLoss(kBrk + "5  99.1 brk(NULL) = 0x1000\n" + kEnd, "strace.txt:2: time goes back",
             MarkKind::kClockWentBack);
  ExpectLoss(kBrk + "5  100.1 <... munmap resumed>) = 0\n" + kEnd,
             "strace.txt:2: the end of a munmap that did not begin", MarkKind::kLostEvents);
  ExpectLoss(kBrk + "9  100.1 brk(NULL) = 0x1000\n9 100.2 +++ exited with 0 +++\n" + kEnd,
             "strace.txt:2: thread 9 was made by nobody", MarkKind::kLostEvents);
  ExpectLoss(kBrk + "a b  10/10 [000] 1.5: page-faults:\n" + kEnd,
             "strace.txt:2: not a line of strace -f -ttt -T: a b  10/10 [000] 1.5: page-faults:",
             MarkKind::kUnreadLine);
  ExpectLoss(
      "100.1 brk(NULL) = 0x1\n100.2 +++ exited with 0 +++\n100.3 brk(NULL) = 0x1\n"
      "100.4 +++ exited with 0 +++\n",
      "strace.txt:3: a line without a thread, of which there are 0", MarkKind::kUnreadLine);
  ExpectLoss(kBrk, "strace.txt:1: the text ends before its processes have exited",
             MarkKind::kTruncated);
}

TEST(StraceTest, CutAtEveryByteIsRefused) {
  const std::string text =
      kBrk +
      "5  100.000100 clone(child_stack=0x1, flags=CLONE_VM|CLONE_THREAD, tls=0x2) = 6 <0.000002>\n"
      "5  100.000200 munmap(0x1000, 4096 <unfinished ...>\n"
      "6  100.000240 +++ exited with 0 +++\n"
      "5  100.000250 <... munmap resumed>) = 0 <0.000003>\n" +
      kEnd;
  ASSERT_TRUE(Import(text).ok());
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_EQ(Import(text.substr(0, size)).status().code(), absl::StatusCode::kDataLoss) << size;
    const absl::StatusOr<Recording> marked = Import(text.substr(0, size), Losses::kMark);
    ASSERT_TRUE(marked.ok()) << "cut at byte " << size << ": " << marked.status();
    EXPECT_TRUE(marked->lossy()) << "cut at byte " << size;
  }
}

TEST(StraceTest, ARealRecordingIsImportedWholeAndComesBackFromItsFile) {
  LineReader lines = OpenTrace("pythreads.strace.gz");
  const absl::StatusOr<Recording> recording =
      ImportStrace(lines, {.losses = Losses::kRefuse, .command = "", .host = {}, .maps = {}});
  ASSERT_TRUE(recording.ok()) << recording.status();
  const Summary summary = Summarize(*recording);
  EXPECT_EQ(summary.of(OpKind::kMmap).operations, 1453u);
  EXPECT_EQ(summary.of(OpKind::kMunmap).operations, 545u);
  EXPECT_EQ(summary.of(OpKind::kMprotect).operations, 165u);
  EXPECT_EQ(summary.of(OpKind::kBrk).operations, 138u);
  EXPECT_EQ(summary.of(OpKind::kMadvise).operations, 8u);
  EXPECT_EQ(summary.of(OpKind::kFork).operations, 40u);
  EXPECT_EQ(summary.of(OpKind::kCloneThread).operations, 8u);
  EXPECT_EQ(recording->processes.size(), 41u);
  EXPECT_EQ(recording->threads.size(), 49u);
  EXPECT_FALSE(recording->lossy());
  const absl::StatusOr<Recording> again = ReadRecording(BytesOf(*recording));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, *recording);
}

}  // namespace
}  // namespace faultline::client

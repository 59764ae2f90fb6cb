// SPDX-License-Identifier: Apache-2.0
//
// Two recordings of real programs, imported: their counts are those that the kernel's own events
// gave when they were made, counted by other means, and their calls lead from the maps at the start
// to the maps at the end, page by page.
//
// Those counts put the acquisitions of an exec to the user fault before it, as the order of events
// alone suggests, and count attempts that gave up as acquisitions. The importer tells both apart,
// so they are added again here.

#include "tests/client/recording/traces.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <gtest/gtest.h>

#include "client/recording/concat.h"
#include "client/recording/reader.h"
#include "client/recording/recording.h"
#include "client/recording/summary.h"
#include "tests/client/recording/naive_maps.h"
#include "tests/client/recording/random_recording.h"

namespace faultline::client {
namespace {

struct Call {
  OpKind kind;
  uint64_t calls;
  uint64_t writes;
  uint64_t reads;
};

struct Row {
  uint64_t user_faults;
  uint64_t took_lock;
  uint64_t reads;
  uint64_t gave_up;
  std::vector<Call> calls;
};

void ExpectRow(const Recording& recording, const Row& row) {
  const Summary summary = Summarize(recording);
  const KindSummary& faults = summary.of(OpKind::kUserFault);
  EXPECT_EQ(faults.operations, row.user_faults);
  EXPECT_EQ(faults.took_lock + summary.execs_behind_fault, row.took_lock);
  EXPECT_EQ(faults.reads + faults.gave_up + summary.reads_behind_fault, row.reads);
  EXPECT_EQ(faults.gave_up, row.gave_up);
  EXPECT_EQ(summary.execs_behind_fault, 1u);
  EXPECT_EQ(summary.reads_behind_fault, 5u);
  EXPECT_EQ(faults.writes, 0u);
  for (const Call& call : row.calls) {
    const KindSummary& kind = summary.of(call.kind);
    EXPECT_EQ(kind.operations, call.calls) << NameOf(call.kind);
    EXPECT_EQ(kind.writes, call.writes) << NameOf(call.kind);
    EXPECT_EQ(kind.reads, call.reads) << NameOf(call.kind);
    EXPECT_EQ(kind.failed, 0u) << NameOf(call.kind);
  }
}

TEST(TracesTest, PythreadsHasTheCountsOfTheKernel) {
  ExpectRow(Pythreads(), {.user_faults = 18'501,
                          .took_lock = 64,
                          .reads = 77,
                          .gave_up = 4,
                          .calls = {{OpKind::kMmap, 617, 617, 0},
                                    {OpKind::kMunmap, 507, 507, 507},
                                    {OpKind::kMprotect, 39, 39, 0},
                                    {OpKind::kBrk, 20, 20, 3},
                                    {OpKind::kMadvise, 8, 0, 8},
                                    {OpKind::kKernelFault, 197, 0, 197}}});
}

TEST(TracesTest, SortHasTheCountsOfTheKernel) {
  ExpectRow(Sort(), {.user_faults = 3'259,
                     .took_lock = 17,
                     .reads = 21,
                     .gave_up = 0,
                     .calls = {{OpKind::kMmap, 48, 48, 0},
                               {OpKind::kMunmap, 3, 3, 3},
                               {OpKind::kMprotect, 7, 7, 0},
                               {OpKind::kBrk, 10, 10, 0},
                               {OpKind::kMadvise, 0, 0, 0},
                               {OpKind::kKernelFault, 453, 0, 455}}});
}

TEST(TracesTest, ThreadsAndImagesAreThoseOfTheProgram) {
  const Recording& recording = Pythreads();
  EXPECT_FALSE(recording.lossy());
  ASSERT_EQ(recording.processes.size(), 1u);
  EXPECT_EQ(recording.processes[0].pid, 6466u);
  ASSERT_EQ(recording.threads.size(), 9u);
  ASSERT_EQ(recording.images.size(), 2u);
  EXPECT_EQ(recording.images[0].comm, "env");
  EXPECT_EQ(recording.images[1].comm, "python3");
  EXPECT_EQ(recording.images[1].origin, Origin::kExec);
  const Summary summary = Summarize(recording);
  EXPECT_EQ(summary.of(OpKind::kCloneThread).operations, 8u);
  EXPECT_EQ(summary.of(OpKind::kExitThread).operations, 8u);
  EXPECT_EQ(summary.of(OpKind::kExitProcess).operations, 1u);
}

TEST(TracesTest, MapsAtTheEndAreThoseOfTheFile) {
  EXPECT_EQ(Pythreads().images[1].end, MapsOfTrace("pythreads.6466.end.maps"));
  EXPECT_EQ(Sort().images[1].end, MapsOfTrace("sort.6602.end.maps"));
  EXPECT_EQ(Pythreads().images[1].end.size(), 139u);
}

TEST(TracesTest, MapsAtTheStartAreWhatExecMade) {
  const Image& image = Pythreads().images[1];
  EXPECT_EQ(image.start_known, MapsKnown::kAll);
  EXPECT_EQ(image.brk_start, 0x55867cf13000u);
  std::vector<std::string> seen;
  seen.reserve(image.start.size());
  for (const Mapping& mapping : image.start) {
    seen.push_back(Concat(RightsText(mapping.rights), " ", mapping.offset, " ", mapping.name));
  }
  const std::string python = " /opt/python/bin/python3.11";
  const std::string loader = " /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
  const std::vector<std::string> expected = {
      "r--p 0" + python,    "r-xp 4096" + python,   "r--p 8192" + python,   "rw-p 8192" + python,
      "r--p 0 [vvar]",      "r--p 0 [vvar_vclock]", "r-xp 0 [vdso]",        "r--p 0" + loader,
      "r-xp 4096" + loader, "r--p 159744" + loader, "rw-p 200704" + loader, "rw-p 0 [stack]",
      "--xp 0 [vsyscall]"};
  EXPECT_EQ(seen, expected);
}

/// The calls of the last image, carried out one after the other on its maps at the start.
std::string EndFromStart(const Recording& recording) {
  const uint32_t last = static_cast<uint32_t>(recording.images.size() - 1);
  NaiveMaps maps(recording.images[last].start, recording.images[last].brk_start);
  for (const Operation& op : recording.operations) {
    if (op.image == last) maps.Apply(op);
  }
  return maps.Difference(recording.images[last].end);
}

TEST(TracesTest, CallsLeadFromTheMapsAtTheStartToThoseAtTheEnd) {
  EXPECT_EQ(EndFromStart(Pythreads()), "");
  EXPECT_EQ(EndFromStart(Sort()), "");
}

TEST(TracesTest, AreReadAsTheyWereWrittenAndAreSmall) {
  for (const Recording* const recording : {&Pythreads(), &Sort()}) {
    const std::string bytes = BytesOf(*recording);
    const absl::StatusOr<Recording> again = ReadRecording(bytes);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(*again, *recording);
    // The gzipped text takes 10 bytes an operation.
    EXPECT_LT(bytes.size(), 10 * recording->operations.size())
        << bytes.size() << " bytes for " << recording->operations.size();
    RecordProperty(recording->source.command + "_bytes", static_cast<int>(bytes.size()));
  }
}

}  // namespace
}  // namespace faultline::client

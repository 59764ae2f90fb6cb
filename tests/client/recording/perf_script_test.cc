// SPDX-License-Identifier: Apache-2.0
//
// What the importer of perf's text makes of single events, and what it refuses: each kind of loss
// is refused with its line and, on request, marked.

#include "client/recording/perf_script.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <gtest/gtest.h>

#include "client/recording/concat.h"
#include "client/recording/import.h"
#include "client/recording/line_reader.h"
#include "client/recording/recording.h"

namespace faultline::client {
namespace {

/// Lines with times that grow, of whatever threads.
class Script {
 public:
  Script& Line(std::string_view comm, uint32_t pid, uint32_t tid, std::string_view event,
               uint32_t cpu = 0) {
    text_ += Concat("      ", comm, "  ", pid, "/", tid, "  [00", cpu, "]  100.",
                    100'000'000 + ++now_, ": ", event, "\n");
    return *this;
  }
  Script& Of(uint32_t tid, std::string_view event) { return Line("a b", 10, tid, event); }
  Script& Raw(std::string_view line) {
    text_ += Concat(line, "\n");
    return *this;
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
  uint32_t now_ = 0;
};

absl::StatusOr<Recording> Import(const std::string& text, Losses losses = Losses::kRefuse) {
  LineReader lines("perf.txt", text);
  return ImportPerfScript(lines, {.losses = losses, .command = "", .host = {}, .maps = {}});
}

constexpr std::string_view kExec = "PERF_RECORD_COMM exec: a b:10/10";
constexpr std::string_view kEnd = "PERF_RECORD_EXIT(10:10):(1:1)";
constexpr std::string_view kEnterMmap =
    "syscalls:sys_enter_mmap: addr: 0x00000000, len: 0x00002001, prot: 0x00000003, flags: "
    "0x00000022, fd: 0xffffffff, off: 0x00000000";
constexpr std::string_view kExitMmap = "syscalls:sys_exit_mmap: 0x7f0000001000";

std::string Lock(std::string_view what, std::string_view mm, std::string_view rest) {
  return Concat("mmap_lock:mmap_lock_", what, ": mm=", mm, " memcg_id=1 ", rest);
}

Script Small() {
  Script script;
  script.Of(10, kExec)
      .Of(10, "PERF_RECORD_MMAP2 10/10: [0x400000(0x1000) @ 0x1000 fe:00 12 0]: r-xp /bin/a b")
      .Of(10, "exceptions:page_fault_user: address=0x400010 ip=0x400010 error_code=0x14")
      .Of(10, kEnterMmap)
      .Of(10, Lock("start_locking", "0x5", "write=true"))
      .Of(10, Lock("acquire_returned", "0x5", "write=true success=true"))
      .Of(10, kExitMmap)
      .Of(10, "PERF_RECORD_FORK(10:11):(10:10)")
      .Of(11, "exceptions:page_fault_user: address=0x7f0000001008 ip=0x400020 error_code=0x6")
      .Of(11, Lock("start_locking", "0x5", "write=false"))
      .Of(11, Lock("acquire_returned", "0x5", "write=false success=true"))
      .Of(11, "PERF_RECORD_EXIT(10:11):(1:1)")
      .Of(10, kEnd);
  return script;
}

/// Refused with exactly this message; marked with that kind when it is asked for.
void ExpectLoss(const Script& script, const std::string& message, MarkKind kind) {
  const absl::StatusOr<Recording> refused = Import(script.text());
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(refused.status().message(), message);
  const absl::StatusOr<Recording> marked = Import(script.text(), Losses::kMark);
  ASSERT_TRUE(marked.ok()) << marked.status();
  EXPECT_TRUE(marked->lossy());
  EXPECT_TRUE(
      std::ranges::any_of(marked->marks, [&](const Mark& mark) { return mark.kind == kind; }));
}

TEST(PerfScriptTest, EventsBecomeOperationsOfTheirThreads) {
  const absl::StatusOr<Recording> recording = Import(Small().text());
  ASSERT_TRUE(recording.ok()) << recording.status();
  std::vector<OpKind> kinds;
  for (const Operation& op : recording->operations) kinds.push_back(op.kind);
  EXPECT_EQ(kinds,
            (std::vector{OpKind::kExec, OpKind::kUserFault, OpKind::kMmap, OpKind::kCloneThread,
                         OpKind::kUserFault, OpKind::kExitThread, OpKind::kExitProcess}));
  EXPECT_EQ(recording->threads[0].comm, "a b");
  const Operation& mmap = recording->operations[2];
  EXPECT_EQ(mmap.args, (std::array<uint64_t, 6>{0, 0x2001, 3, 0x22, UINT64_MAX, 0}));
  EXPECT_EQ(mmap.result, 0x7f0000001000u);
  EXPECT_EQ(mmap.duration_ns, 3u);
  EXPECT_EQ(mmap.effect_ns, 2u);
  EXPECT_EQ(mmap.locks.writes, 1u);
  EXPECT_EQ(recording->operations[4].thread, 1u);
  EXPECT_EQ(recording->operations[4].locks.reads, 1u);
  EXPECT_EQ(recording->images[0].start[0].name, "/bin/a b");
}

TEST(PerfScriptTest, CallsThatFailKeepTheirError) {
  Script script;
  script.Of(10, kExec)
      .Of(10, "syscalls:sys_enter_munmap: addr: 0x00000001, len: 0x00001000")
      .Of(10, "syscalls:sys_exit_munmap: 0xffffffffffffffea")
      .Of(10, kEnd);
  const absl::StatusOr<Recording> recording = Import(script.text());
  ASSERT_TRUE(recording.ok()) << recording.status();
  EXPECT_EQ(recording->operations[1].error, 22u);
  EXPECT_EQ(recording->operations[1].result, 0u);
}

TEST(PerfScriptTest, EffectsAreOrderedByWhenTheLockWasTaken) {
  Script script;
  script.Of(10, kExec)
      .Of(10, "PERF_RECORD_FORK(10:11):(10:10)")
      .Of(10, kEnterMmap)
      .Line("a b", 10, 11, "syscalls:sys_enter_munmap: addr: 0x00001000, len: 0x00001000", 1)
      .Line("a b", 10, 11, Lock("acquire_returned", "0x5", "write=true success=true"), 1)
      .Line("a b", 10, 11, "syscalls:sys_exit_munmap: 0x0", 1)
      .Of(10, Lock("acquire_returned", "0x5", "write=true success=true"))
      .Of(10, kExitMmap)
      .Of(11, "PERF_RECORD_EXIT(10:11):(1:1)")
      .Of(10, kEnd);
  const absl::StatusOr<Recording> recording = Import(script.text());
  ASSERT_TRUE(recording.ok()) << recording.status();
  EXPECT_EQ(recording->operations[2].kind, OpKind::kMunmap);
  EXPECT_EQ(recording->operations[3].kind, OpKind::kMmap);
}

Script ForkScript(bool copies) {
  Script script;
  script.Of(10, kExec)
      .Of(10, Lock("acquire_returned", "0x5", "write=true success=true"))
      .Of(10, "exceptions:page_fault_user: address=0x400010 ip=0x400010 error_code=0x14");
  if (copies) {
    script.Of(10, Lock("acquire_returned", "0x5", "write=true success=true"))
        .Of(10, Lock("acquire_returned", "0x6", "write=true success=true"));
  }
  script.Of(10, "PERF_RECORD_FORK(12:12):(10:10)")
      .Line("a b", 12, 12, "exceptions:page_fault_user: address=0x400010 ip=0x4 error_code=0x6")
      .Line("a b", 12, 12,
            Lock("acquire_returned", copies ? "0x6" : "0x5", "write=false success=true"))
      .Line("a b", 12, 12, Lock("acquire_returned", "0x7", "write=true success=true"))
      .Line("c", 12, 12, "PERF_RECORD_COMM exec: c:12/12")
      .Line("c", 12, 12, "PERF_RECORD_EXIT(12:12):(10:10)")
      .Of(10, kEnd);
  return script;
}

TEST(PerfScriptTest, AForkTakesTheLocksThatItTook) {
  const absl::StatusOr<Recording> forked = Import(ForkScript(/*copies=*/true).text());
  ASSERT_TRUE(forked.ok()) << forked.status();
  ASSERT_EQ(forked->operations[2].kind, OpKind::kFork);
  EXPECT_EQ(forked->operations[2].locks.writes, 2u);
  EXPECT_EQ(forked->operations[1].locks.writes, 0u);
  EXPECT_EQ(forked->operations[2].args[1], 1u);
  EXPECT_EQ(forked->operations[3].image, 1u);
  EXPECT_EQ(forked->operations[3].locks.reads, 1u);
  EXPECT_EQ(forked->operations[4].kind, OpKind::kExec);
  EXPECT_EQ(forked->operations[4].locks.writes, 1u);
  EXPECT_EQ(forked->images[1].origin, Origin::kFork);
  EXPECT_EQ(forked->processes[1].parent, 0u);
}

TEST(PerfScriptTest, AVforkSharesItsParentsImage) {
  const absl::StatusOr<Recording> vforked = Import(ForkScript(/*copies=*/false).text());
  ASSERT_TRUE(vforked.ok()) << vforked.status();
  ASSERT_EQ(vforked->operations[2].kind, OpKind::kFork);
  EXPECT_EQ(vforked->operations[2].args[1], 0u);
  EXPECT_EQ(vforked->operations[3].image, 0u);
  EXPECT_EQ(vforked->operations[3].locks.reads, 1u);
  EXPECT_EQ(vforked->operations[4].kind, OpKind::kExec);
  EXPECT_EQ(vforked->images.size(), 2u);
}

TEST(PerfScriptTest, ThousandsOfThreadsAreThousandsOfThreads) {
  Script script;
  script.Of(10, kExec);
  for (uint32_t tid = 1000; tid < 6000; ++tid) {
    script.Of(10, Concat("PERF_RECORD_FORK(10:", tid, "):(10:10)"));
    script.Of(tid, "exceptions:page_fault_user: address=0x400010 ip=0x400010 error_code=0x14");
  }
  for (uint32_t tid = 1000; tid < 6000; ++tid) {
    script.Of(tid, Concat("PERF_RECORD_EXIT(10:", tid, "):(1:1)"));
  }
  const absl::StatusOr<Recording> recording = Import(script.Of(10, kEnd).text());
  ASSERT_TRUE(recording.ok()) << recording.status();
  EXPECT_EQ(recording->threads.size(), 5001u);
}

TEST(PerfScriptTest, LinesOfOtherToolsAreRefused) {
  ExpectLoss(
      Small().Raw("10 1795231724.25 brk(NULL) = 0x1 <0.1>"),
      "perf.txt:14: not an event that can be imported: 10 1795231724.25 brk(NULL) = 0x1 <0.1>",
      MarkKind::kUnreadLine);
}

TEST(PerfScriptTest, LostEventsAreRefused) {
  ExpectLoss(Small().Line("a b", 10, 10, "PERF_RECORD_LOST lost 17"),
             "perf.txt:14: perf lost events", MarkKind::kLostEvents);
}

TEST(PerfScriptTest, ACallWithoutItsEndOrItsBeginningIsALoss) {
  Script no_end;
  no_end.Of(10, kExec).Of(10, kEnterMmap).Of(10, kEnterMmap).Of(10, kExitMmap).Of(10, kEnd);
  ExpectLoss(no_end, "perf.txt:3: a system call begins within another one", MarkKind::kLostEvents);
  Script no_begin;
  no_begin.Of(10, kExec).Of(10, kExitMmap).Of(10, kEnd);
  ExpectLoss(no_begin, "perf.txt:2: the end of a mmap that did not begin", MarkKind::kLostEvents);
}

TEST(PerfScriptTest, ClocksThatGoBackAreALossOnOneThreadAndNoneAcrossCpus) {
  const std::string fault =
      "exceptions:page_fault_user: address=0x400010 ip=0x400010 error_code=0x14";
  Script back;
  back.Of(10, kExec).Raw(Concat("  a b  10/10  [001]   99.5: ", fault)).Of(10, kEnd);
  ExpectLoss(back, "perf.txt:2: time goes back on CPU 1, thread 10", MarkKind::kClockWentBack);
  Script sorted;
  sorted.Of(10, kExec)
      .Of(10, "PERF_RECORD_FORK(10:11):(10:10)")
      .Of(10, fault)
      .Raw(Concat("  a b  10/11  [001]   100.100000002: ", fault))
      .Raw("  a b  10/11  [001]   101.0: PERF_RECORD_EXIT(10:11):(1:1)")
      .Raw("  a b  10/10  [000]   101.0: PERF_RECORD_EXIT(10:10):(1:1)");
  const absl::StatusOr<Recording> recording = Import(sorted.text());
  ASSERT_TRUE(recording.ok()) << recording.status();
  EXPECT_FALSE(recording->lossy());
  EXPECT_TRUE(std::ranges::is_sorted(recording->operations, {}, &Operation::time_ns));
}

TEST(PerfScriptTest, UnknownAndUnsupportedCallsAreRefusedAndHarmlessOnesLeftOut) {
  EXPECT_TRUE(Import(Small().Line("b", 10, 10, "syscalls:sys_enter_openat: dfd: 0x3").text()).ok());
  ExpectLoss(Small().Line("b", 10, 10, "syscalls:sys_enter_shmat: shmid: 0x1"),
             "perf.txt:14: cannot be imported: shmat", MarkKind::kUnreadLine);
  const absl::StatusOr<Recording> unknown =
      Import(Small().Line("b", 10, 10, "syscalls:sys_enter_mmap9: addr: 0x1").text());
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kDataLoss);
}

TEST(PerfScriptTest, CutAtEveryByteIsRefused) {
  const std::string text = Small().text();
  ASSERT_TRUE(Import(text).ok());
  for (std::size_t size = 0; size < text.size(); ++size) {
    const absl::StatusOr<Recording> recording = Import(text.substr(0, size));
    ASSERT_FALSE(recording.ok()) << "cut at byte " << size;
    EXPECT_EQ(recording.status().code(), absl::StatusCode::kDataLoss) << recording.status();
    EXPECT_EQ(std::string(recording.status().message()).rfind("perf.txt:", 0), 0u)
        << recording.status();
    const absl::StatusOr<Recording> marked = Import(text.substr(0, size), Losses::kMark);
    ASSERT_TRUE(marked.ok()) << "cut at byte " << size << ": " << marked.status();
    EXPECT_TRUE(marked->lossy()) << "cut at byte " << size;
  }
}

}  // namespace
}  // namespace faultline::client

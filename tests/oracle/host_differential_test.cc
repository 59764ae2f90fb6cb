// SPDX-License-Identifier: Apache-2.0
//
// The oracle tested by itself: two families of real processes must agree, a lie planted into one
// of them must be found and shrunken to the operations that matter, and what is printed can be
// read back. The seeds are fresh; a failure prints its own.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/oracle/abi.h"
#include "tests/oracle/arena.h"
#include "tests/oracle/generator.h"
#include "tests/oracle/kernel_subject.h"
#include "tests/oracle/placement.h"
#include "tests/oracle/session.h"

namespace faultline::oracle {
namespace {

/// A real kernel that may lie about what it did.
class Liar : public Subject {
 public:
  using Lie = std::function<void(const Operation&, Outcome&)>;
  using Disguise = std::function<void(Snapshot&)>;

  Liar(Lie lie, Disguise disguise)
      : kernel_(Mode::kArena), lie_(std::move(lie)), disguise_(std::move(disguise)) {}

  [[nodiscard]] bool Supports(const Operation& op) const override { return kernel_.Supports(op); }
  Outcome Apply(const Operation& op) override {
    Outcome outcome = kernel_.Apply(op);
    if (lie_) lie_(op, outcome);
    return outcome;
  }
  void Observe(int process, Snapshot& snapshot) override {
    kernel_.Observe(process, snapshot);
    if (disguise_) disguise_(snapshot);
  }

 private:
  KernelSubject kernel_;
  Lie lie_;
  Disguise disguise_;
};

SubjectFactory Kernel(Mode mode) {
  return [mode] { return std::make_unique<KernelSubject>(mode); };
}

/// `make_lie` makes the lie of a fresh subject: it may have a state.
SubjectFactory LyingKernel(std::function<Liar::Lie()> make_lie, Liar::Disguise disguise = {}) {
  return [make_lie = std::move(make_lie), disguise = std::move(disguise)] {
    return std::make_unique<Liar>(make_lie ? make_lie() : Liar::Lie{}, disguise);
  };
}

SessionOptions Options(Mode mode, uint64_t ops, SubjectFactory other) {
  return {.mode = mode,
          .ops = ops,
          .seed = std::random_device{}(),
          .shrink_budget = std::chrono::seconds(20),
          .kernel = Kernel(mode),
          .other = std::move(other),
          .progress = {}};
}

SessionResult RunProbed(const SessionOptions& options) {
  return RunSession(options, ProbeFeatures());
}

std::string Explain(const SessionOptions& options, const SessionResult& result) {
  std::string text = "seed " + std::to_string(options.seed) + "\n";
  return result.failure ? text + Describe(*result.failure) : text;
}

Operation Parsed(const std::string& line) {
  const std::optional<Operation> op = ParseOperation(line);
  EXPECT_TRUE(op) << line;
  return op.value_or(Operation{});
}

TEST(HostDifferentialTest, TwoKernelsAgreeInTheArena) {
  const SessionOptions options = Options(Mode::kArena, 5000, Kernel(Mode::kArena));
  const SessionResult result = RunProbed(options);
  EXPECT_FALSE(result.failure) << Explain(options, result);
  EXPECT_EQ(result.compared, 5000);
}

TEST(HostDifferentialTest, TwoKernelsAgreeOnPlacement) {
  const SessionOptions options = Options(Mode::kPlacement, 3000, Kernel(Mode::kPlacement));
  const SessionResult result = RunProbed(options);
  EXPECT_FALSE(result.failure) << Explain(options, result);
  EXPECT_EQ(result.compared, 3000);
}

TEST(HostDifferentialTest, EqualSeedsGiveEqualOperations) {
  const Features features = ProbeFeatures();
  Generator first(17, features);
  Generator second(17, features);
  Duel duel(Kernel(Mode::kArena), Kernel(Mode::kArena));
  for (int i = 0; i < 500; ++i) {
    const Operation op = first.Next(duel);
    ASSERT_EQ(op, second.Next(duel));
    ASSERT_FALSE(duel.Step(op).difference);
  }
}

TEST(HostDifferentialTest, AProcessThatDiesIsADifference) {
  Duel duel(Kernel(Mode::kArena), Kernel(Mode::kArena));
  const StepResult step = duel.Step(Parsed("p0 munmap(0x0, 0x7ffffffff000)"));
  EXPECT_TRUE(step.outcome.died);
  ASSERT_TRUE(step.difference);
  EXPECT_NE(step.difference->find("died"), std::string::npos);
}

TEST(HostDifferentialTest, FamiliesOfThreeCopyAndShare) {
  Duel duel(Kernel(Mode::kArena), Kernel(Mode::kArena));
  const auto step = [&duel](const std::string& line) {
    const StepResult result = duel.Step(Parsed(line));
    EXPECT_TRUE(result.compared && !result.difference) << line << result.difference.value_or("");
    return result.outcome;
  };
  step(
      "p0 mmap(0x101d0000, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, "
      "0x0)");
  step(
      "p0 mmap(0x101d2000, 0x1000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED|MAP_ANONYMOUS, -1, "
      "0x0)");
  step("p0 write(0x101d0000, 0x7)");
  step("p0 fork(1)");
  step("p1 fork(2)");
  EXPECT_EQ(duel.live_count(), 3);
  step("p2 write(0x101d0000, 0x8)");
  step("p2 write(0x101d2000, 0x9)");
  EXPECT_EQ(step("p0 read(0x101d0000)").word, 7);
  EXPECT_EQ(step("p0 read(0x101d2000)").word, 9);
  step("p0 exit()");
  EXPECT_EQ(step("p1 read(0x101d0000)").word, 7);
  EXPECT_FALSE(duel.Step(Parsed("p0 read(0x101d0000)")).compared);
}

TEST(HostDifferentialTest, TheLayoutTellsWhereTheKernelPlacesTheNextMapping) {
  KernelSubject kernel(Mode::kPlacement);
  const Layout layout = kernel.ReadLayout();
  uint64_t expected = 0;
  uint64_t below = 0;
  for (const Layout::Line& line : layout.lines) {
    if (line.line.start > below && line.line.end <= layout.mmap_base) expected = line.line.start;
    below = line.line.end;
  }
  const Outcome outcome =
      kernel.Apply(Parsed("p0 mmap(0x0, 0x1000, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0x0)"));
  EXPECT_EQ(outcome.value, expected - kPageSize) << "mmap_base " << std::hex << layout.mmap_base;
  EXPECT_NE(layout.brk_start, 0);
  EXPECT_LT(layout.mmap_base, layout.stack_start);
}

TEST(HostDifferentialTest, StopsWhenTheTimeIsUp) {
  SessionOptions options = Options(Mode::kArena, 1'000'000'000, Kernel(Mode::kArena));
  options.time_limit = std::chrono::seconds(1);
  const SessionResult result = RunProbed(options);
  EXPECT_FALSE(result.failure) << Explain(options, result);
  EXPECT_LT(result.seconds, 10);
}

TEST(ShrinkTest, FindsAWrongErrnoAndLeavesWhatItTakes) {
  // Wrong only after an munmap and only for two pages: neither operation alone shows it.
  const SessionOptions options =
      Options(Mode::kArena, 100'000, LyingKernel([] {
                return [unmapped = false](const Operation& op, Outcome& outcome) mutable {
                  if (op.kind == OpKind::kMunmap && outcome.error == 0) unmapped = true;
                  if (op.kind == OpKind::kMprotect && op.args[1] == 2 * kPageSize && unmapped)
                    ++outcome.error;
                };
              }));
  const SessionResult result = RunProbed(options);
  ASSERT_TRUE(result.failure) << Explain(options, result);
  const std::vector<Operation>& ops = result.failure->ops;
  ASSERT_EQ(ops.size(), 2) << Explain(options, result);
  EXPECT_EQ(ops[0].kind, OpKind::kMunmap);
  EXPECT_EQ(ops[0].args[1], kPageSize) << "the length does not matter, so it is the simplest";
  EXPECT_EQ(ops[1].kind, OpKind::kMprotect);
  EXPECT_EQ(ops[1].args[1], 2 * kPageSize);
}

TEST(ShrinkTest, FindsAPageWithTheWrongWord) {
  const SessionOptions options =
      Options(Mode::kArena, 100'000, LyingKernel({}, [](Snapshot& seen) {
                for (PageState& page : seen.pages) {
                  if (page.word != 0 && page.address >= kMainArea.start + 50 * kPageSize)
                    page.word ^= 1;
                }
              }));
  const SessionResult result = RunProbed(options);
  ASSERT_TRUE(result.failure) << Explain(options, result);
  EXPECT_LE(result.failure->ops.size(), 3) << Explain(options, result);
  EXPECT_NE(result.failure->difference.find("page"), std::string::npos);
}

TEST(ShrinkTest, FindsALineThatIsMissing) {
  const SessionOptions options = Options(Mode::kArena, 100'000, LyingKernel({}, [](Snapshot& seen) {
                                           if (seen.lines.size() == 4) seen.lines.pop_back();
                                         }));
  const SessionResult result = RunProbed(options);
  ASSERT_TRUE(result.failure) << Explain(options, result);
  // Not always 4 operations: one mremap may make two lines, and then it takes more to undo that.
  const std::vector<Operation>& ops = result.failure->ops;
  for (size_t i = 0; i < ops.size(); ++i) {
    std::vector<Operation> fewer = ops;
    fewer.erase(fewer.begin() + static_cast<ptrdiff_t>(i));
    EXPECT_EQ(Replay(options, fewer).difference, "") << "operation " << i << " is not needed\n"
                                                     << Explain(options, result);
  }
}

TEST(ShrinkTest, WhatIsPrintedCanBeReplayed) {
  const SessionOptions options = Options(Mode::kArena, 100'000, LyingKernel([] {
                                           return [](const Operation& op, Outcome& outcome) {
                                             if (op.kind == OpKind::kWrite && outcome.signal == 0)
                                               outcome.signal = 11;
                                           };
                                         }));
  const SessionResult result = RunProbed(options);
  ASSERT_TRUE(result.failure) << Explain(options, result);
  const std::string sequence = Describe(*result.failure);
  std::string bad_line;
  const auto ops = ParseSequence(sequence, &bad_line);
  ASSERT_TRUE(ops) << bad_line;
  EXPECT_EQ(*ops, result.failure->ops);
  EXPECT_EQ(Replay(options, *ops).difference, result.failure->difference);
}

TEST(OperationTest, EveryGeneratedOperationSurvivesPrintingAndParsing) {
  const uint64_t seed = std::random_device{}();
  const Features features = ProbeFeatures();
  Duel duel(Kernel(Mode::kArena), Kernel(Mode::kArena));
  for (uint64_t episode = 0; episode < 20; ++episode) {
    Generator arena(seed + episode, features);
    PlacementGenerator placement(seed + episode);
    for (int i = 0; i < 300; ++i) {
      for (const Operation& op : {arena.Next(duel), placement.Next(duel)}) {
        ASSERT_EQ(Parsed(Format(op) + " = 0x0"), op) << Format(op) << ", seed " << seed;
      }
    }
  }
}

TEST(OperationTest, PrintsInTheMannerOfStrace) {
  const std::string fixed = "MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0x0)";
  for (const std::string& line : std::vector<std::string>{
           "p0 mmap(0x10003000, 0x2000, PROT_READ|PROT_WRITE, " + fixed,
           "p2 mmap(0x0, 0x1, PROT_NONE, 0x0, read_only_file, 0x1000)",
           "p1 mremap(0x10000000, 0x1000, 0x0, MREMAP_MAYMOVE|0x8, 0xfffffffffffff000)",
           "p0 madvise(0x10000000, 0x1000, MADV_GUARD_INSTALL)",
           "p0 madvise(0x10000000, 0x1000, 0x63)",
           "p0 $3 = mmap($2-0x1000, 0x1000, PROT_EXEC, MAP_SHARED, file, 0x0)", "p0 brk($brk+0x8)",
           "p0 fork(1)", "p1 exit()"}) {
    EXPECT_EQ(Format(Parsed(line)), line);
  }
}

TEST(OperationTest, RefusesWhatIsNoOperation) {
  for (const char* line : {"", "p0", "p3 exit()", "x0 exit()", "p0 exit(1)", "p0 munmap(0x1000)",
                           "p0 munmap(0x1000, z)", "p0 what(0x1)", "p0 munmap(0x1000, 0x1000"}) {
    EXPECT_FALSE(ParseOperation(line)) << line;
  }
}

TEST(IsHarmlessTest, RefusesWhatCouldReachTheProcessItself) {
  for (const char* line :
       {"p0 munmap(0x0, 0x7ffffffff000)", "p0 munmap(0x10000000, 0x700000000000)",
        "p0 madvise(0x10000000, 0x700000000000, MADV_DONTNEED)",
        "p0 mprotect(0x555555554000, 0x1000, PROT_NONE)",
        "p0 mmap(0x555555554000, 0x1000, PROT_NONE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0x0)",
        "p0 mmap(0x0, 0x1000, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|0x40, -1, 0x0)",
        "p0 mremap(0x10000000, 0x40000000000, 0x1000, 0x0, 0x0)",
        "p0 mremap(0x10000000, 0x1000, 0x1000, MREMAP_MAYMOVE|MREMAP_FIXED, 0x555555554000)",
        "p0 write(0x555555554000, 0x1)"}) {
    EXPECT_FALSE(IsHarmless(Parsed(line))) << line;
  }
}

TEST(IsHarmlessTest, LetsPassWhatTheKernelRefuses) {
  for (const char* line :
       {"p0 munmap(0x10000000, 0xfffffffffffff000)", "p0 munmap(0x10000001, 0x7ffffffff000)",
        "p0 madvise(0x7ffffffff000, 0x1000, MADV_DONTNEED)",
        "p0 madvise(0x10000000, 0xfffffffffffff000, MADV_DONTNEED)",
        "p0 mprotect(0x10000000, 0x7ffffffff000, PROT_NONE)", "p0 read(0xfffffffffffff000)"}) {
    EXPECT_TRUE(IsHarmless(Parsed(line))) << line;
  }
}

}  // namespace
}  // namespace faultline::oracle

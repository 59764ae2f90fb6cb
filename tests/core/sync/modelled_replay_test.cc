// SPDX-License-Identifier: Apache-2.0
//
// Replay strings (core/sync/modelled/replay.h): what is encoded is decoded; whatever is not exactly
// that is refused with a sentence that says why; a schedule that no longer fits stops where it
// diverges.

#include <rapidcheck.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "core/base/check.h"
#include "core/sync/sync.h"
#include "tests/core/sync/modelled_runs.h"

namespace faultline {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Why `text` is refused, or "" if it is not.
std::string RefusalOf(std::string_view text) {
  const auto decoded = DecodeReplay(text);
  const auto* refusal = std::get_if<std::string>(&decoded);
  return refusal != nullptr ? *refusal : "";
}

Replay Sample() {
  return {{.scenario = "rwsem", .scheme = "vma_refcnt", .policies = "fair-1", .mutant = "none"},
          {{0, OpKind::kLoad},
           {0, OpKind::kStore},
           {1, OpKind::kSpinLock},
           {12, OpKind::kPark},
           {1, OpKind::kUnlock}}};
}

/// `text` with its checksum made right again, as someone who edits by hand and knows how would.
std::string WithRightChecksum(std::string text) {
  text.resize(text.rfind(':') + 1);
  uint32_t hash = 2166136261u;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619u;
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (int shift = 28; shift >= 0; shift -= 4) text.push_back(kDigits[(hash >> shift) & 15]);
  return text;
}

std::string Replaced(std::string text, std::string_view what, std::string_view by) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}

// -- The format -----------------------------------------------------------------------------------

TEST(ReplayStringTest, HasTheDocumentedForm) {
  EXPECT_EQ(WithRightChecksum("fl1:rwsem:vma_refcnt:fair-1:none:5:0ls1K12P1U:"),
            EncodeReplay(Sample()));
}

TEST(ReplayStringTest, NeedsNoQuotesInAShell) {
  const std::string text = EncodeReplay(Sample());
  EXPECT_EQ(text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   ":_-"),
            std::string::npos);
}

TEST(ReplayStringTest, RoundTripsWithoutAnyChoice) {
  const Replay empty{{.scenario = "s"}, {}};
  const auto decoded = DecodeReplay(EncodeReplay(empty));
  ASSERT_TRUE(std::holds_alternative<Replay>(decoded)) << std::get<std::string>(decoded);
  EXPECT_TRUE(std::get<Replay>(decoded).choices.empty());
  EXPECT_EQ(std::get<Replay>(decoded).identity, empty.identity);
}

RC_GTEST_PROP(ReplayStringProperty, RoundTrips, ()) {
  const auto name = rc::gen::nonEmpty(rc::gen::container<std::string>(
      rc::gen::elementOf(std::string("abcdefghijklmnopqrstuvwxyz0123456789_-"))));
  Replay replay{{*name, *name, *name, *name}, {}};
  const auto choices = *rc::gen::container<std::vector<std::pair<int, int>>>(
      rc::gen::pair(rc::gen::inRange(0, kMaxFibers), rc::gen::inRange(0, kOpKinds)));
  for (const auto& [fiber, kind] : choices) {
    replay.choices.push_back({static_cast<uint8_t>(fiber), static_cast<OpKind>(kind)});
  }
  const auto decoded = DecodeReplay(EncodeReplay(replay));
  RC_ASSERT(std::holds_alternative<Replay>(decoded));
  RC_ASSERT(std::get<Replay>(decoded).identity == replay.identity);
  RC_ASSERT(std::get<Replay>(decoded).choices == replay.choices);
}

RC_GTEST_PROP(ReplayStringProperty, SurvivesAnyText, (const std::string& text)) {
  RC_ASSERT(!RefusalOf(text).empty());
  RC_ASSERT(!RefusalOf("fl1:" + text).empty());
}

TEST(OpKindTest, LettersAreDistinctAndLeadBack) {
  for (int i = 0; i < kOpKinds; ++i) {
    const auto kind = static_cast<OpKind>(i);
    EXPECT_EQ(OpKindFromLetter(Letter(kind)), kind) << Name(kind);
    EXPECT_FALSE(Name(kind).empty());
  }
  EXPECT_EQ(OpKindFromLetter('?'), std::nullopt);
}

// -- What is refused ------------------------------------------------------------------------------

TEST(ReplayRefusalTest, NamesBothVersions) {
  const std::string text = WithRightChecksum(Replaced(EncodeReplay(Sample()), "fl1", "fl2"));
  EXPECT_THAT(RefusalOf(text), HasSubstr("format version is 'fl2', this program reads 'fl1'"));
  EXPECT_THAT(RefusalOf(""), HasSubstr("format version"));
}

TEST(ReplayRefusalTest, ComesForEveryProperPrefix) {
  const std::string text = EncodeReplay(Sample());
  ASSERT_EQ(RefusalOf(text), "");
  for (size_t length = 0; length < text.size(); ++length) {
    EXPECT_THAT(RefusalOf(text.substr(0, length)), StartsWith("replay string: ")) << length;
  }
  EXPECT_THAT(RefusalOf(text.substr(0, 20)), HasSubstr("cut"));
  EXPECT_THAT(RefusalOf(text.substr(0, text.size() - 1)), HasSubstr("cut or changed"));
}

TEST(ReplayRefusalTest, ComesForEverythingAppended) {
  EXPECT_NE(RefusalOf(EncodeReplay(Sample()) + "0"), "");
  EXPECT_NE(RefusalOf(EncodeReplay(Sample()) + ":"), "");
  EXPECT_NE(RefusalOf(EncodeReplay(Sample()) + "\n"), "");
}

TEST(ReplayRefusalTest, ComesForEveryChangedCharacter) {
  const std::string text = EncodeReplay(Sample());
  for (size_t i = 0; i < text.size(); ++i) {
    for (const char other : std::string_view("0z:-")) {
      if (text[i] == other) continue;
      std::string changed = text;
      changed[i] = other;
      EXPECT_NE(RefusalOf(changed), "") << changed;
    }
  }
}

TEST(ReplayRefusalTest, NamesAnUnknownOperation) {
  const std::string text = WithRightChecksum(Replaced(EncodeReplay(Sample()), "0ls", "0l?"));
  EXPECT_THAT(RefusalOf(text), HasSubstr("choice 2 has the unknown operation '?'"));
}

TEST(ReplayRefusalTest, NamesAFiberOutOfRange) {
  const std::string text = WithRightChecksum(Replaced(EncodeReplay(Sample()), "12P", "64P"));
  EXPECT_THAT(RefusalOf(text), HasSubstr("fiber 64 is out of range, allowed are 0 to 63"));
  const std::string huge =
      WithRightChecksum(Replaced(EncodeReplay(Sample()), "12P", "99999999999999999999P"));
  EXPECT_THAT(RefusalOf(huge), HasSubstr("fiber 99999999999999999999 is out of range"));
}

TEST(ReplayRefusalTest, ComesForAChoiceWithoutAFiber) {
  const std::string text = WithRightChecksum(Replaced(EncodeReplay(Sample()), ":0ls", ":ls"));
  EXPECT_THAT(RefusalOf(text), HasSubstr("do not begin with a fiber number"));
}

TEST(ReplayRefusalTest, NamesBothCounts) {
  const std::string more = WithRightChecksum(Replaced(EncodeReplay(Sample()), ":5:", ":6:"));
  EXPECT_THAT(RefusalOf(more), HasSubstr("6 choices are announced, 5 are there"));
  for (const char* count : {":x:", "::", ":-5:", ":5x:"}) {
    const std::string text = WithRightChecksum(Replaced(EncodeReplay(Sample()), ":5:", count));
    EXPECT_THAT(RefusalOf(text), HasSubstr("choices are announced")) << count;
  }
}

TEST(ReplayMismatchTest, NamesTheFieldAndBothValues) {
  const Replay replay = Sample();
  EXPECT_EQ(ReplayMismatch(replay, replay.identity), std::nullopt);
  RunIdentity wanted = replay.identity;
  wanted.scenario = "mutex";
  EXPECT_EQ(ReplayMismatch(replay, wanted),
            "replay string: it is for scenario 'rwsem', not for 'mutex'");
  wanted = replay.identity;
  wanted.scheme = "spf";
  EXPECT_EQ(ReplayMismatch(replay, wanted),
            "replay string: it is for scheme 'vma_refcnt', not for 'spf'");
  wanted = replay.identity;
  wanted.policies = "none";
  EXPECT_EQ(ReplayMismatch(replay, wanted),
            "replay string: it is for policies 'fair-1', not for 'none'");
  wanted = replay.identity;
  wanted.mutant = "abba_order";
  EXPECT_EQ(ReplayMismatch(replay, wanted),
            "replay string: it is for mutant 'none', not for 'abba_order'");
}

// -- Runs that diverge ----------------------------------------------------------------------------

using Word = Atomic<int>;

/// Two tasks with one operation each on one word.
Execution::Body TwoTasks(void (*first)(Word&), void (*second)(Word&)) {
  return [=](Execution& run) {
    auto* word = run.New<Word>(0);
    run.Spawn("first", [=] { first(*word); });
    run.Spawn("second", [=] { second(*word); });
  };
}

void DoStore(Word& word) { word.Store(1, kRelaxed); }
void DoLoad(Word& word) { (void)word.Load(kRelaxed); }
void DoLoadTwice(Word& word) {
  DoLoad(word);
  DoLoad(word);
}

std::string DivergenceOf(const Execution::Body& body, const std::vector<ReplayChoice>& choices) {
  return ReplayRun(SubjectFor(body), choices).divergence;
}

TEST(ReplayDivergenceTest, IsNoneWhenAllChoicesFit) {
  EXPECT_EQ(DivergenceOf(TwoTasks(&DoStore, &DoLoad), {{1, OpKind::kLoad}, {0, OpKind::kStore}}),
            "");
  EXPECT_EQ(DivergenceOf(TwoTasks(&DoStore, &DoLoad), {{1, OpKind::kLoad}}), "");
}

TEST(ReplayDivergenceTest, TellsAnOperationThatIsNowAnother) {
  EXPECT_EQ(DivergenceOf(TwoTasks(&DoStore, &DoLoadTwice),
                         {{1, OpKind::kLoad}, {1, OpKind::kStore}, {0, OpKind::kStore}}),
            "diverged at step 2: expected store by fiber 1 (second), found load by fiber 1 "
            "(second)");
}

TEST(ReplayDivergenceTest, TellsAFiberThatIsBlocked) {
  const auto body = [](Execution& run) {
    auto* lock = run.New<InnerLock>();
    for (const char* name : {"first", "second"}) {
      run.Spawn(name, [=] { const LockGuard guard(*lock); });
    }
  };
  EXPECT_EQ(DivergenceOf(body, {{0, OpKind::kSpinLock}, {1, OpKind::kSpinLock}}),
            "diverged at step 2: expected spin-lock by fiber 1 (second), found that fiber blocked");
}

TEST(ReplayDivergenceTest, TellsAFiberThatHasEnded) {
  EXPECT_EQ(DivergenceOf(TwoTasks(&DoStore, &DoLoad), {{0, OpKind::kStore}, {0, OpKind::kStore}}),
            "diverged at step 2: expected store by fiber 0 (first), found that fiber at its "
            "end");
}

TEST(ReplayDivergenceTest, TellsAFiberThatIsNotThere) {
  EXPECT_EQ(DivergenceOf(TwoTasks(&DoStore, &DoLoad), {{7, OpKind::kStore}}),
            "diverged at step 1: expected store by fiber 7 (no such task), found no such fiber");
}

TEST(ReplayDivergenceTest, TellsARunThatEndsEarly) {
  EXPECT_EQ(DivergenceOf(TwoTasks(&DoStore, &DoLoad),
                         {{0, OpKind::kStore}, {1, OpKind::kLoad}, {1, OpKind::kLoad}}),
            "diverged at step 3: expected load by fiber 1 (second), found the end of the run");
}

TEST(ReplayDivergenceTest, TellsAViolationThatComesEarlier) {
  const auto body = [](Execution& run) {
    auto* word = run.New<Word>(0);
    run.Spawn("first", [=] { MM_CHECK_EQ(word->Load(kRelaxed), 1); });
  };
  EXPECT_EQ(DivergenceOf(body, {{0, OpKind::kLoad}, {0, OpKind::kStore}}),
            "diverged at step 2: expected store by fiber 0 (first), found the end of the run");
}

TEST(ReplayDivergenceTest, TellsAScenarioThatDependsOnMoreThanItsSchedule) {
  int runs = 0;
  const auto body = [&runs](Execution& run) {
    auto* word = run.New<Word>(0);
    const int value = ++runs;
    run.Spawn("first", [=] { word->Store(value, kRelaxed); });
  };
  EXPECT_EQ(ReplayRun(SubjectFor(body), {}, 1).divergence, "");
  EXPECT_THAT(ReplayRun(SubjectFor(body), {}, 3).divergence,
              HasSubstr("diverged in repetition 2: expected the same run, found another"));
}

TEST(ReplayDivergenceTest, EndsTheRunAtThatStep) {
  const ReplayResult result =
      ReplayRun(SubjectFor(TwoTasks(&DoStore, &DoLoad)), {{1, OpKind::kStore}});
  EXPECT_FALSE(result.violation.has_value());
  EXPECT_EQ(std::count(result.table.begin(), result.table.end(), '\n'), 1) << result.table;
}

// -- From search to replay ------------------------------------------------------------------------

TEST(ReplayRunTest, RepeatsWhatASearchFound) {
  const auto body = [](Execution& run) {
    auto* word = run.New<Word>(0);
    for (const char* name : {"first", "second"}) {
      run.Spawn(name, [=] { word->Store(word->Load(kRelaxed) + 1, kRelaxed); });
    }
    run.AtEnd([=] { MM_CHECK_EQ(word->Peek(), 2); });
  };
  const SearchResult found = SearchAll(body);
  ASSERT_TRUE(found.finding.has_value());
  const auto decoded = DecodeReplay(found.finding->replay);
  ASSERT_TRUE(std::holds_alternative<Replay>(decoded));
  EXPECT_EQ(ReplayMismatch(std::get<Replay>(decoded), {.scenario = "test"}), std::nullopt);
  const ReplayResult again = ReplayRun(SubjectFor(body), std::get<Replay>(decoded).choices, 100);
  EXPECT_EQ(again.divergence, "");
  ASSERT_TRUE(again.violation.has_value());
  EXPECT_EQ(again.table, found.finding->table);
}

TEST(ReplayRunTest, RepeatsALockdepReportUpToWhatOtherSchedulesShowed) {
  // The right order is seen only in schedules before the one that is wrong. The search can show
  // that chain, too; a replay knows no other schedule.
  const auto body = [](Execution& run) {
    struct State {
      OuterMutex outer;
      MiddleMutex middle;
      Word swap{0};
    };
    auto* state = run.New<State>();
    run.Spawn("takes", [=] {
      if (state->swap.Load(kRelaxed) == 0) {
        const LockGuard outer(state->outer);
        const LockGuard middle(state->middle);
      } else {
        const LockGuard middle(state->middle);
        const LockGuard outer(state->outer);
      }
    });
    run.Spawn("swaps", [=] { state->swap.Store(1, kRelaxed); });
  };
  const SearchResult found = SearchAll(body);
  ASSERT_TRUE(found.finding.has_value());
  ASSERT_GT(found.finding->schedule, 1u);
  const auto replay = std::get<Replay>(DecodeReplay(found.finding->replay));
  const ReplayResult again = ReplayRun(SubjectFor(body), replay.choices);
  EXPECT_EQ(again.divergence, "");
  EXPECT_THAT(again.table, HasSubstr("wrong lock order"));
  EXPECT_THAT(found.finding->table, StartsWith(again.table));
  EXPECT_THAT(found.finding->table, HasSubstr("was seen in this chain"));
}

}  // namespace
}  // namespace faultline

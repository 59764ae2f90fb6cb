// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/fault/fault_options.h: names and words there and back, and which combinations are
// refused. What may go together is stated here once more, independently of the table of schemes; a
// refusal names the field, its value and what is allowed, and an mm with such options is not made.

#include "core/fault/fault_options.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/machine/machine.h"
#include "tests/core/mm/fault_options_list.h"
#include "tests/core/observe/names.h"

namespace faultline {
namespace {

/// Every combination of enumerators and flags, allowed or not.
std::vector<FaultOptions> AllCombinations() {
  std::vector<FaultOptions> all;
  for (const SchemeName scheme : AllSchemes()) {
    for (const TableAlloc alloc : AllOf<TableAlloc>()) {
      for (const PteTable pte : AllOf<PteTable>()) {
        for (const TableFree free : AllOf<TableFree>()) {
          for (const FaultGuard guard : AllOf<FaultGuard>()) {
            for (const unsigned flags : {0u, 1u, 2u, 3u}) {
              all.push_back({.scheme = scheme,
                             .pgtable_alloc = alloc,
                             .pte_table = pte,
                             .pgtable_free = free,
                             .guard = guard,
                             .spf_wire_tables = (flags & 1) != 0,
                             .depth_known = (flags & 2) != 0});
            }
          }
        }
      }
    }
  }
  return all;
}

bool IsSpf(SchemeName scheme) {
  return scheme == SchemeName::kSpfMmSeq || scheme == SchemeName::kSpfVmaSeq;
}
bool Validates(SchemeName scheme) {
  return IsSpf(scheme) || scheme == SchemeName::kRcuRestart || scheme == SchemeName::kRcuContinue;
}
/// The rules, in words: eager allocation sleeps, so it is not for schemes that fault inside an RCU
/// section; asking for the RCU depth needs a machine that counts it; wiring is spf's.
bool ShouldBeAllowed(const FaultOptions& options) {
  if (options.pgtable_alloc == TableAlloc::kEager && Validates(options.scheme)) return false;
  if (options.pgtable_alloc == TableAlloc::kRcuImpliesNowait && !options.depth_known) return false;
  return !options.spf_wire_tables || IsSpf(options.scheme);
}

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(FaultOptionsTest, ExactlyTheStatedCombinationsAreAllowed) {
  for (const FaultOptions& options : AllCombinations()) {
    EXPECT_EQ(IsAllowed(options), ShouldBeAllowed(options)) << TestNameOf(options);
    EXPECT_EQ(WhyRefused(options).has_value(), !IsAllowed(options)) << TestNameOf(options);
  }
}

TEST(FaultOptionsTest, AnMmIsMadeWithExactlyThose) {
  const std::unique_ptr<Machine> machine = std::move(*Machine::Create({.memory_bytes = 4 << 20}));
  for (const FaultOptions& options : AllCombinations()) {
    const Result<Mm*> mm = machine->CreateMm({.fault = options});
    if (mm.ok()) {
      EXPECT_TRUE(ShouldBeAllowed(options)) << TestNameOf(options);
      (*mm)->DropUser();
    } else {
      EXPECT_FALSE(ShouldBeAllowed(options)) << TestNameOf(options);
      EXPECT_EQ(mm.error(), Errno::kEinval) << TestNameOf(options);
    }
  }
}

TEST(FaultOptionsTest, ARefusalNamesFieldValueAndWhatIsAllowed) {
  for (const FaultOptions& options : AllCombinations()) {
    const std::optional<std::string> why = WhyRefused(options);
    if (!why.has_value()) continue;
    SCOPED_TRACE(*why);
    EXPECT_TRUE(Contains(*why, "allowed"));
    if (why->starts_with("spf_wire_tables: true ")) {
      EXPECT_TRUE(Contains(*why, "false"));
      EXPECT_TRUE(Contains(*why, Name(options.scheme)));
      continue;
    }
    ASSERT_TRUE(why->starts_with("pgtable_alloc: " + std::string(Name(options.pgtable_alloc))));
    // The list is what would be allowed in its place, and nothing else.
    const std::string list = why->substr(why->rfind("allowed: ") + 9) + ",";
    for (const TableAlloc alloc : AllOf<TableAlloc>()) {
      FaultOptions instead = options;
      instead.pgtable_alloc = alloc;
      instead.spf_wire_tables = false;
      EXPECT_EQ(Contains(", " + list, " " + std::string(Name(alloc)) + ","),
                ShouldBeAllowed(instead))
          << Name(alloc);
    }
  }
}

TEST(FaultOptionsTest, ValuesThatAreNoEnumeratorsAreRefusedByName) {
  const auto refusal = [](auto change) {
    FaultOptions options = DefaultsOf(SchemeName::kVmaRefcnt);
    change(options);
    return WhyRefused(options).value_or("allowed");
  };
  EXPECT_EQ(refusal([](FaultOptions& o) { o.scheme = static_cast<SchemeName>(200); }),
            "scheme: there is no value 200; allowed: mmap_lock, vma_rwsem, vma_lock, vma_refcnt, "
            "spf_mm_seq, spf_vma_seq, rcu_restart, rcu_continue");
  EXPECT_EQ(refusal([](FaultOptions& o) { o.pgtable_alloc = TableAlloc::kCount; }),
            "pgtable_alloc: there is no value 8; allowed: eager, prealloc_all, prealloc_missing, "
            "nowait_scope, gfp_argument, rcu_implies_nowait, task_flag, nowait_reclaim_retry");
  EXPECT_EQ(refusal([](FaultOptions& o) { o.pte_table = static_cast<PteTable>(9); }),
            "pte_table: there is no value 9; allowed: at_set_pte, with_walk");
  EXPECT_EQ(refusal([](FaultOptions& o) { o.pgtable_free = TableFree::kCount; }),
            "pgtable_free: there is no value 2; allowed: deferred, synchronous");
  EXPECT_EQ(refusal([](FaultOptions& o) { o.guard = static_cast<FaultGuard>(255); }),
            "guard: there is no value 255; allowed: still_valid, still_valid_alone, "
            "grace_period_before_zap");
}

TEST(FaultOptionsTest, NoMmIsMadeWithValuesThatAreNoEnumerators) {
  const std::unique_ptr<Machine> machine = std::move(*Machine::Create({.memory_bytes = 4 << 20}));
  const uint64_t free = machine->frames().free_frames();
  const auto error = [&](auto change) {
    MmOptions options;
    change(options.fault);
    const Result<Mm*> mm = machine->CreateMm(options);
    return mm.ok() ? "ok" : std::string(Name(mm.error()));
  };
  EXPECT_EQ(error([](FaultOptions& o) { o.scheme = SchemeName::kCount; }), "EINVAL");
  EXPECT_EQ(error([](FaultOptions& o) { o.pgtable_alloc = static_cast<TableAlloc>(99); }),
            "EINVAL");
  EXPECT_EQ(error([](FaultOptions& o) { o.pte_table = PteTable::kCount; }), "EINVAL");
  EXPECT_EQ(error([](FaultOptions& o) { o.pgtable_free = TableFree::kCount; }), "EINVAL");
  EXPECT_EQ(error([](FaultOptions& o) { o.guard = FaultGuard::kCount; }), "EINVAL");
  EXPECT_EQ(machine->frames().free_frames(), free);
}

TEST(FaultOptionsTest, DefaultsAreAllowedAndBelongToTheirScheme) {
  for (const SchemeName scheme : AllSchemes()) {
    EXPECT_TRUE(IsAllowed(DefaultsOf(scheme))) << Name(scheme);
    EXPECT_EQ(DefaultsOf(scheme).scheme, scheme);
  }
}

TEST(FaultOptionsTest, NamesAreDistinctAndLeadBackToTheirSchemes) {
  ExpectSnakeCaseNames<SchemeName>();
  ExpectSnakeCaseNames<TableAlloc>();
  ExpectSnakeCaseNames<PteTable>();
  ExpectSnakeCaseNames<TableFree>();
  ExpectSnakeCaseNames<FaultGuard>();
  for (const SchemeName scheme : AllSchemes()) EXPECT_EQ(SchemeFromName(Name(scheme)), scheme);
  EXPECT_EQ(SchemeFromName(""), std::nullopt);
  EXPECT_EQ(SchemeFromName("mmap"), std::nullopt);
  EXPECT_EQ(SchemeFromName("MMAP_LOCK"), std::nullopt);
}

TEST(FaultOptionsTest, PoliciesAreReadAsTheyAreWritten) {
  for (const FaultOptions& options : AllCombinations()) {
    // From whatever was there before but for the flags, which words can only turn on.
    FaultOptions read{.scheme = options.scheme,
                      .pgtable_alloc = TableAlloc::kTaskFlag,
                      .pte_table = PteTable::kWithWalk,
                      .pgtable_free = TableFree::kSynchronous,
                      .guard = FaultGuard::kStillValidAlone};
    EXPECT_EQ(ParsePolicies(PoliciesOf(options), read), std::nullopt);
    EXPECT_EQ(read, options) << PoliciesOf(options);
  }
}

TEST(FaultOptionsTest, PoliciesComeInAnyOrderAndTheRestStays) {
  FaultOptions options = DefaultsOf(SchemeName::kSpfMmSeq);
  EXPECT_EQ(ParsePolicies("synchronous,spf_wire_tables,nowait_scope", options), std::nullopt);
  FaultOptions expected = DefaultsOf(SchemeName::kSpfMmSeq);
  expected.pgtable_free = TableFree::kSynchronous;
  expected.spf_wire_tables = true;
  expected.pgtable_alloc = TableAlloc::kNowaitScope;
  EXPECT_EQ(options, expected);
}

TEST(FaultOptionsTest, PoliciesThatAreNotUnderstoodAreReportedAndChangeNothing) {
  const FaultOptions before = DefaultsOf(SchemeName::kVmaLock);
  const auto why = [&](std::string_view words) {
    FaultOptions options = before;
    const std::string sentence = ParsePolicies(words, options).value_or("understood");
    EXPECT_EQ(options, before) << words;
    return sentence;
  };
  EXPECT_TRUE(why("").starts_with("policy '' is unknown; allowed, one of each: eager, "));
  EXPECT_TRUE(why("with_walk,").starts_with("policy '' is unknown"));
  EXPECT_TRUE(why("with_walk,,deferred").starts_with("policy '' is unknown"));
  EXPECT_TRUE(why("synchronous,eagre").starts_with("policy 'eagre' is unknown"));
  EXPECT_TRUE(why("Eager").starts_with("policy 'Eager' is unknown"));
  EXPECT_TRUE(why("eager ").starts_with("policy 'eager ' is unknown"));
  EXPECT_TRUE(Contains(why("x"), "still_valid_alone, grace_period_before_zap; spf_wire_tables"));
  EXPECT_EQ(why("eager,deferred,task_flag"),
            "policy 'task_flag': another one of its kind was given before");
  EXPECT_EQ(why("depth_known,depth_known"),
            "policy 'depth_known': another one of its kind was given before");
}

}  // namespace
}  // namespace faultline

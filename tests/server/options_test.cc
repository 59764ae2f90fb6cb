// SPDX-License-Identifier: Apache-2.0
//
// Choices of requests: each field of options is the one of the same name in the core, both ways;
// and what goes through both ways is the same. That whole vocabularies agree is in
// tests/proto/vocabulary_test.cc.
#include "server/options.h"

#include <cctype>
#include <string>

#include <gtest/gtest.h>

namespace faultline::server {
namespace {

/// "mmap_lock" as the API has it: "SCHEME_MMAP_LOCK".
std::string ApiName(const std::string& prefix, std::string_view name) {
  std::string result = prefix;
  for (const char c : name) {
    const bool letter = std::isalnum(static_cast<unsigned char>(c)) != 0;
    result += letter ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : '_';
  }
  return result;
}

/// Each enumerator, set by `set` in a request, is the one of the same name in the core.
template <class Core, class Parse>
void CompareEach(const std::string& prefix, int api_values, const Parse& parse) {
  EXPECT_EQ(api_values, static_cast<int>(Core::kCount) + 1);
  for (int i = 0; i < static_cast<int>(Core::kCount); ++i) {
    const Core core = static_cast<Core>(i);
    EXPECT_TRUE(parse(ApiName(prefix, Name(core)), core)) << ApiName(prefix, Name(core));
  }
}

TEST(OptionsTest, SchemesHaveTheNamesOfTheCore) {
  CompareEach<SchemeName>("SCHEME_", v1::Scheme_descriptor()->value_count(),
                          [](const std::string& name, SchemeName core) {
                            v1::FaultOptions options;
                            v1::Scheme scheme = v1::SCHEME_UNSPECIFIED;
                            if (!v1::Scheme_Parse(name, &scheme)) return false;
                            options.set_scheme(scheme);
                            auto parsed = ToCore(options, "o");
                            if (!parsed.ok() || parsed->scheme != core) return false;
                            v1::FaultOptions back;
                            ToProto(*parsed, back);
                            return back.scheme() == scheme;
                          });
}

/// A policy's enumerators by way of ToProto, since not every scheme takes each.
template <class Core, class Set, class Get>
void ComparePolicy(const std::string& prefix, const google::protobuf::EnumDescriptor& api,
                   const Set& set, const Get& get) {
  CompareEach<Core>(prefix, api.value_count(), [&](const std::string& name, Core core) {
    FaultOptions options;
    set(options, core);
    v1::FaultOptions message;
    ToProto(options, message);
    const auto* value = api.FindValueByName(name);
    return value != nullptr && value->number() == get(message);
  });
}

TEST(OptionsTest, PoliciesHaveTheNamesOfTheCore) {
  ComparePolicy<TableAlloc>(
      "TABLE_ALLOC_", *v1::TableAlloc_descriptor(),
      [](FaultOptions& options, TableAlloc core) { options.pgtable_alloc = core; },
      [](const v1::FaultOptions& message) { return static_cast<int>(message.pgtable_alloc()); });
  ComparePolicy<PteTable>(
      "PTE_TABLE_", *v1::PteTable_descriptor(),
      [](FaultOptions& options, PteTable core) { options.pte_table = core; },
      [](const v1::FaultOptions& message) { return static_cast<int>(message.pte_table()); });
  ComparePolicy<TableFree>(
      "TABLE_FREE_", *v1::TableFree_descriptor(),
      [](FaultOptions& options, TableFree core) { options.pgtable_free = core; },
      [](const v1::FaultOptions& message) { return static_cast<int>(message.pgtable_free()); });
  ComparePolicy<FaultGuard>(
      "FAULT_GUARD_", *v1::FaultGuard_descriptor(),
      [](FaultOptions& options, FaultGuard core) { options.guard = core; },
      [](const v1::FaultOptions& message) { return static_cast<int>(message.guard()); });
}

TEST(OptionsTest, LockRanksOfTestsHaveNoValue) {
  EXPECT_EQ(ToProto(LockRank::kWaitQueue), v1::LOCK_RANK_WAIT_QUEUE);
  EXPECT_EQ(ToProto(LockRank::kTestOuter), v1::LOCK_RANK_UNSPECIFIED);
  EXPECT_EQ(ToProto(LockRank::kCount), v1::LOCK_RANK_UNSPECIFIED);
}

TEST(OptionsTest, EveryCombinationThatTheCoreAllowsIsTakenAndNoOther) {
  int allowed = 0;
  for (int scheme = 1; scheme <= static_cast<int>(SchemeName::kCount); ++scheme) {
    for (int alloc = 1; alloc <= static_cast<int>(TableAlloc::kCount); ++alloc) {
      for (int guard = 1; guard <= static_cast<int>(FaultGuard::kCount); ++guard) {
        v1::FaultOptions message;
        message.set_scheme(static_cast<v1::Scheme>(scheme));
        message.set_pgtable_alloc(static_cast<v1::TableAlloc>(alloc));
        message.set_guard(static_cast<v1::FaultGuard>(guard));
        FaultOptions core = DefaultsOf(static_cast<SchemeName>(scheme - 1));
        core.pgtable_alloc = static_cast<TableAlloc>(alloc - 1);
        core.guard = static_cast<FaultGuard>(guard - 1);
        auto parsed = ToCore(message, "fault");
        ASSERT_EQ(parsed.ok(), !WhyRefused(core).has_value()) << message.ShortDebugString();
        if (parsed.ok()) {
          ++allowed;
          continue;
        }
        EXPECT_EQ(parsed.refusal().reason, v1::ERROR_REASON_REFUSED_COMBINATION);
        EXPECT_TRUE(parsed.refusal().field.starts_with("fault.")) << parsed.refusal().field;
        EXPECT_FALSE(parsed.refusal().value.empty());
        EXPECT_FALSE(parsed.refusal().allowed.empty());
      }
    }
  }
  EXPECT_GT(allowed, 0);
}

TEST(OptionsTest, DefaultsOfAnMmAreThoseOfTheCore) {
  auto core = ToCore(v1::MmOptions(), Limits(), "options");
  ASSERT_TRUE(core.ok());
  v1::MmOptions by_default;
  v1::MmOptions filled;
  ToProto(MmOptions(), by_default);
  ToProto(*core, filled);
  EXPECT_EQ(by_default.SerializeAsString(), filled.SerializeAsString());
}

TEST(OptionsTest, WhatIsFilledInIsTakenAgain) {
  v1::MmOptions filled;
  ToProto(MmOptions(), filled);
  filled.set_page_table_levels(5);
  filled.set_can_raw_io(false);
  filled.mutable_fault()->set_scheme(v1::SCHEME_RCU_RESTART);
  filled.mutable_fault()->set_pgtable_alloc(v1::TABLE_ALLOC_NOWAIT_SCOPE);
  auto core = ToCore(filled, Limits(), "options");
  ASSERT_TRUE(core.ok()) << core.refusal().field << core.refusal().allowed;
  v1::MmOptions again;
  ToProto(*core, again);
  EXPECT_EQ(again.SerializeAsString(), filled.SerializeAsString());
}

}  // namespace
}  // namespace faultline::server

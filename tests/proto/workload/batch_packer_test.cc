// SPDX-License-Identifier: Apache-2.0
//
// Tests of proto/workload/batch_packer.h and slots.h: a packed script is the script, whatever the
// size of batches, and what an operation is relative to is found where it is.
//
// A small machine stands for the server: it gives addresses to mappings and resolves bases.
#include "proto/workload/batch_packer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "faultline/v1/attach.pb.h"
#include "proto/columns/batch_check.h"
#include "proto/columns/batch_reader.h"
#include "proto/columns/results_reader.h"
#include "proto/columns/results_writer.h"
#include "proto/workload/script.h"
#include "proto/workload/slots.h"
#include "tests/proto/workload/workloads.h"

namespace faultline::workload {
namespace {

using ::testing::ElementsAre;

/// Carries out calls by noting them: mappings somewhere go to ever higher addresses, brk to where
/// it is asked, and every third mapping somewhere fails.
class Machine {
 public:
  struct Result {
    uint32_t outcome = 0;
    uint64_t value = 0;
  };

  Result Call(v1::OperationKind kind, uint64_t address, uint64_t length) {
    calls_.push_back(v1::OperationKind_Name(kind) + " " + std::to_string(address) + "+" +
                     std::to_string(length));
    if (kind == v1::OPERATION_KIND_BRK) return {.value = address == 0 ? 1'000'000 : address};
    if (kind != v1::OPERATION_KIND_MMAP) return {};
    if (address != 0) return {.value = address};
    if (++mapped_ % 3 == 0) return {.outcome = v1::ERRNO_ENOMEM};
    return {.value = mapped_ << 32U};
  }
  [[nodiscard]] const std::vector<std::string>& calls() const { return calls_; }

 private:
  uint64_t mapped_ = 0;
  std::vector<std::string> calls_;
};

/// Carries a batch out as a server does.
v1::OperationResults CarryOut(Machine& machine, const v1::OperationBatch& batch) {
  v1::OperationResults results;
  columns::ResultsWriter writer(results);
  columns::BatchReader reader(batch);
  writer.Begin(batch);
  for (uint32_t i = 0; i < reader.operations(); ++i) {
    uint64_t address = reader.address(i);
    if (const uint32_t base = reader.base(i); base != 0) {
      if (!writer.outcome(base - 1).ok()) {
        writer.SetOutcome(i, columns::Outcome::Skipped());
        continue;
      }
      address += writer.value(base - 1);
    }
    const auto result = machine.Call(reader.kind(i), address, reader.length(i));
    writer.SetOutcome(i, columns::Outcome(result.outcome));
    writer.SetValue(i, result.value);
  }
  writer.End(reader.operations(), v1::BATCH_END_UNSPECIFIED);
  return results;
}

constexpr Script::Part kTwoRounds[] = {Script::Part::kSetup, Script::Part::kLoop,
                                       Script::Part::kLoop};

/// The calls of two rounds, carried out one by one; children and what is no call are left out.
std::vector<std::string> OneByOne(const Plan& plan) {
  Machine machine;
  SlotValues slots;
  Script script(plan, {});
  for (const auto part : kTwoRounds) {
    script.Begin(part);
    for (Operation op; script.Next(op);) {
      if (op.action == Action::kFork) script.SkipChild();
      if (op.action != Action::kCall) continue;
      const std::optional<uint64_t> address = slots.AddressOf(op);
      if (!address) {
        slots.Failed(op);
        script.SkipStep();
        continue;
      }
      const auto result = machine.Call(op.kind, *address, op.length);
      if (result.outcome == 0) {
        slots.Succeeded(op, result.value);
      } else {
        slots.Failed(op);
      }
    }
  }
  return machine.calls();
}

/// The same in batches of at most `limit` operations.
std::vector<std::string> InBatches(const Plan& plan, uint32_t limit) {
  Machine machine;
  Script script(plan, {});
  v1::OperationBatch batch;
  BatchPacker packer(batch);
  uint64_t batch_id = 1;
  packer.Begin(batch_id);
  const auto flush = [&] {
    if (batch.operations() > 0) {
      EXPECT_FALSE(columns::WhyBad(batch, {.max_operations = limit}));
      const v1::OperationResults results = CarryOut(machine, batch);
      packer.Learn(columns::ResultsReader(results), batch_id);
    }
    packer.Begin(++batch_id);
  };
  for (const auto part : kTwoRounds) {
    script.Begin(part);
    PackEnd end{};
    while ((end = packer.Pack(script, limit)) != PackEnd::kRound) {
      if (end != PackEnd::kHost) {
        flush();
      } else if (packer.host_operation().action == Action::kFork) {
        script.SkipChild();
      }
    }
  }
  flush();
  return machine.calls();
}

RC_GTEST_PROP(BatchPackerPropertyTest, ItMakesNoDifferenceHowOperationsArePacked, ()) {
  v1::Workload workload = AnyWorkload();
  const Plan plan(workload, kLimits.threads);
  const auto limit = *rc::gen::inRange<uint32_t>(1, 40);
  // In a batch, what is relative to a failure is skipped touch by touch, so it is the same calls.
  RC_ASSERT(InBatches(plan, limit) == OneByOne(plan));
}

/// Rounds of a thread of one workload, and its first batch.
struct Packing {
  explicit Packing(const std::string& loop) : plan(Looping(loop), 1) { packer.Begin(1); }
  void BeginRound() { script.Begin(Script::Part::kLoop); }
  PackEnd Pack(uint32_t limit) { return packer.Pack(script, limit); }

  const Plan plan;
  Script script{plan, {}};
  v1::OperationBatch batch;
  BatchPacker packer{batch};
};
constexpr char kMapAndUnmap[] = "loop { map { span { length: 4096 } } } loop { unmap {} }";

TEST(BatchPackerTest, AMappingOfTheSameBatchIsABase) {
  Packing packing(kMapAndUnmap);
  for (int round = 0; round < 2; ++round) {
    packing.BeginRound();
    EXPECT_EQ(packing.Pack(100), PackEnd::kRound);
  }
  EXPECT_THAT(packing.batch.bases(), ElementsAre(0, 1, 0, 3));
}

TEST(BatchPackerTest, AMappingOfABatchUnderWayIsWaitedFor) {
  Packing packing(kMapAndUnmap);
  packing.BeginRound();
  EXPECT_EQ(packing.Pack(1), PackEnd::kFull);
  packing.packer.Begin(2);
  EXPECT_EQ(packing.Pack(1), PackEnd::kValue);
  EXPECT_EQ(packing.batch.operations(), 0);

  v1::OperationResults results;
  results.set_batch_id(1);
  results.set_completed(1);
  results.add_values(0x7000);
  packing.packer.Learn(columns::ResultsReader(results), 1);
  EXPECT_EQ(packing.Pack(1), PackEnd::kRound);
  EXPECT_THAT(packing.batch.addresses(), ElementsAre(0x7000));
  EXPECT_THAT(packing.batch.kinds(), ElementsAre(v1::OPERATION_KIND_MUNMAP));
}

TEST(BatchPackerTest, WhatNoBatchCanHoldIsTheHosts) {
  Packing packing("loop { pause {} } loop { observe {} } loop { pause {} }");
  packing.BeginRound();
  EXPECT_EQ(packing.Pack(10), PackEnd::kHost);
  EXPECT_EQ(packing.packer.host_operation().action, Action::kObserve);
  EXPECT_EQ(packing.batch.operations(), 1);
  EXPECT_EQ(packing.Pack(10), PackEnd::kRound);
  EXPECT_EQ(packing.batch.operations(), 2);
}

}  // namespace
}  // namespace faultline::workload

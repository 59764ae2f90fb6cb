// SPDX-License-Identifier: Apache-2.0
//
// What fault_bench --policies measures: a machine with so much free memory, and in it an mm for
// each policy of table allocation that a scheme allows.
//
// The mms share the machine, and take turns in it: each window leaves free memory at the level at
// which it found it. Windows under pressure settle (WindowSpec::settle), or the level is not kept.
// Invariant: at a bank's end every frame is free, which its Machine checks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "tests/bench/fault_lab.h"
#include "tests/bench/fault_pressure.h"

namespace faultline::bench {

inline constexpr size_t kPolicies = static_cast<size_t>(TableAlloc::kCount);

/// A task beside the faults that frees so many frames a millisecond.
struct FreerAtRate {
  Freer& freer;
  double per_ms = 0;
};

/// Another world, in a machine under pressure: settling brings memory back to its level, and while
/// there are faults the freer frees, if there is one. A phase of more threads than one is none.
class PressedWorld : public World {
 public:
  PressedWorld(World& world, Pressure& pressure, std::optional<FreerAtRate> freer)
      : world_(world), pressure_(pressure), freer_(freer) {}

  void Map(uint64_t offset, uint64_t bytes) override { world_.Map(offset, bytes); }
  void Unmap(uint64_t offset, uint64_t bytes) override { world_.Unmap(offset, bytes); }
  Touched WriteFaults(const Touches& touches, const std::atomic<bool>& over) override {
    return world_.WriteFaults(touches, over);
  }
  void Settle() override;
  void BeforeFaults() override;
  void AfterFaults() override;
  FaultCounts Counts() override;
  uint64_t ReclaimEntries() override { return world_.ReclaimEntries(); }

 private:
  World& world_;
  Pressure& pressure_;
  const std::optional<FreerAtRate> freer_;
};

class Bank {
 public:
  /// With room for phases of that many touches, however sparse if they are kMostSparseTouches.
  Bank(FreeMemory free, const FaultBenchOptions& options, const FaultOptions& scheme);

  static constexpr uint64_t kMostSparseTouches = 2048;

  [[nodiscard]] FreeMemory free() const { return free_; }
  /// Whether the scheme allows the policy.
  [[nodiscard]] bool Has(size_t policy) const { return mms_[policy] != nullptr; }
  [[nodiscard]] bool Has(TableAlloc policy) const { return Has(static_cast<size_t>(policy)); }
  /// One window of the policy's mm, which there is.
  [[nodiscard]] Window Run(Crew& crew, size_t policy, const WindowSpec& spec,
                           std::optional<FreerAtRate> freer = std::nullopt);

 private:
  const FreeMemory free_;
  std::unique_ptr<Machine> machine_;
  std::optional<Pressure> pressure_;
  std::array<std::unique_ptr<OwnMm>, kPolicies> mms_;
};

}  // namespace faultline::bench

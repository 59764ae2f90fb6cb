// SPDX-License-Identifier: Apache-2.0
//
// Random operations for the arena mode. Addresses keep to the areas of arena.h and gather at the
// boundaries of the mappings that are there; a share of all arguments lies at the edges (zero,
// unaligned, wrap-around, end of space, unknown flags). Each episode leaves some kinds out and
// narrows the areas by chance, since a mix of everything all the time hides what needs a run of
// one kind to show.
//
// Guarantee: no operation can touch a mapping outside of the zone (IsHarmless).
#pragma once

#include <array>
#include <cstdint>
#include <random>

#include "tests/oracle/arena.h"
#include "tests/oracle/duel.h"
#include "tests/oracle/features.h"
#include "tests/oracle/operation.h"

namespace faultline::oracle {

class Generator {
 public:
  Generator(uint64_t seed, const Features& features);

  /// The next operation, given what the processes look like now.
  Operation Next(const Duel& duel);

 private:
  using Weights = std::array<uint32_t, kOpKinds>;

  Operation Draw(const Duel& duel);
  void FillArguments(Operation& op, const Snapshot& snapshot);
  void FillMmap(Operation& op, const Snapshot& snapshot);
  void FillMremap(Operation& op, const Snapshot& snapshot);

  [[nodiscard]] int PickProcess(const Duel& duel);
  [[nodiscard]] OpKind PickKind();
  [[nodiscard]] uint64_t PickAddress(const Snapshot& snapshot);
  [[nodiscard]] uint64_t PickAccess(const Snapshot& snapshot);
  [[nodiscard]] uint64_t PickLength(const Snapshot& snapshot, uint64_t address);
  [[nodiscard]] uint64_t PickProt();
  [[nodiscard]] uint64_t PickMapFlags();
  [[nodiscard]] uint64_t PickAdvice();
  [[nodiscard]] uint64_t PickBoundary(const Snapshot& snapshot);
  [[nodiscard]] uint64_t PickPage();
  [[nodiscard]] bool Allowed(const Operation& op) const;

  [[nodiscard]] uint64_t Below(uint64_t bound);
  [[nodiscard]] bool Chance(uint32_t percent) { return Below(100) < percent; }
  [[nodiscard]] bool PerMille(uint32_t share) { return Below(1000) < share; }

  Features features_;
  std::mt19937_64 random_;
  Weights weights_ = {};
  Area main_ = kMainArea;
  uint32_t far_percent_ = 0;
  uint32_t stack_percent_ = 0;
  uint32_t edge_per_mille_ = 0;
};

/// Whether `op` can only change the zone, or is refused whatever is mapped.
bool IsHarmless(const Operation& op);

}  // namespace faultline::oracle

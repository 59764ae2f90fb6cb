// SPDX-License-Identifier: Apache-2.0
//
// Random operations for the placement mode: mappings that the kernel places, near hints or by its
// own choice, and what changes the holes it chooses from. Compared are the address it returned
// and the whole map, which begins as that of a real program.
//
// Operations name addresses by labels only and stay within what the labelled one mapped, so they
// cannot reach the process's own mappings, wherever those are in another run.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "tests/oracle/duel.h"
#include "tests/oracle/operation.h"

namespace faultline::oracle {

class PlacementGenerator {
 public:
  explicit PlacementGenerator(uint64_t seed) : random_(seed) {}

  Operation Next(const Duel& duel);

 private:
  struct Region {
    int label;
    uint64_t length;
  };

  Operation Mmap();
  Operation Munmap();
  Operation Mremap();
  Operation Mprotect();
  Operation Break();
  void SetRange(Operation& op, const Region& region);
  void ForgetFailed(const Duel& duel);
  [[nodiscard]] uint64_t PickLength();
  [[nodiscard]] uint64_t Below(uint64_t bound) { return random_() % bound; }

  std::mt19937_64 random_;
  std::vector<Region> regions_;
  int last_label_ = 0;
};

/// Gives kBreakLabel its address, in the placement mode.
void SetBreakLabel(Mode mode, Duel& duel);

}  // namespace faultline::oracle

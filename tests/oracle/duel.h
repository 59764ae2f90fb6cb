// SPDX-License-Identifier: Apache-2.0
//
// Two subjects side by side from the same start: each operation goes to both, then what they
// answered and what all their processes look like is compared. A sequence is a list of operations
// for a fresh duel; one that cannot be carried out (its process has gone, its label has no
// address, a side does not know it) is left out, so that any part of a sequence is one too.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tests/oracle/subject.h"

namespace faultline::oracle {

struct StepResult {
  bool compared = false;                  // false: left out
  std::optional<std::string> difference;  // several lines of text
  const char* known = nullptr;            // the entry of known_differences.h, instead
  Outcome outcome;                        // the kernel's
};

class Duel {
 public:
  Duel(const SubjectFactory& kernel, const SubjectFactory& other);

  StepResult Step(const Operation& op);

  [[nodiscard]] bool live(int process) const { return live_[process]; }
  [[nodiscard]] int live_count() const;
  /// The kernel's, as of the last step.
  [[nodiscard]] const Snapshot& snapshot(int process) const { return kernel_snapshots_[process]; }
  /// What the operation with this label returned.
  [[nodiscard]] std::optional<uint64_t> address(int label) const;
  void SetAddress(int label, uint64_t address) { addresses_[label] = address; }

  /// The state before the first operation, if the two differ already.
  [[nodiscard]] std::optional<std::string> CompareStart();

 private:
  [[nodiscard]] bool CanApply(const Operation& op) const;
  [[nodiscard]] std::optional<Operation> Resolve(const Operation& op) const;
  void CompareAll(const Operation& op, const Outcome& other, StepResult& result);

  std::unique_ptr<Subject> kernel_;
  std::unique_ptr<Subject> other_;
  std::array<bool, kMaxProcesses> live_ = {true};
  std::array<Snapshot, kMaxProcesses> kernel_snapshots_;
  std::array<Snapshot, kMaxProcesses> other_snapshots_;
  std::map<int, uint64_t> addresses_;
};

/// Lines, then pages, each on a line of its own.
std::string Describe(const Snapshot& snapshot);

}  // namespace faultline::oracle

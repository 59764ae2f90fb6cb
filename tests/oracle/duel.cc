// SPDX-License-Identifier: Apache-2.0
//
// One step of both sides, and the report of how they differ: the lines and pages that only one of
// them has, marked '-' for the kernel and '+' for the other.
#include "tests/oracle/duel.h"

#include <algorithm>
#include <cstring>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include "tests/oracle/arena.h"
#include "tests/oracle/known_differences.h"

namespace faultline::oracle {
namespace {

std::string Describe(const Operation& op, const Outcome& outcome) {
  if (outcome.died) return "the process died";
  if (outcome.signal != 0) {
    return absl::StrFormat("%s, si_code %d, page 0x%x", sigabbrev_np(outcome.signal),
                           outcome.si_code, outcome.fault_address);
  }
  if (outcome.error != 0) {
    const char* name = strerrorname_np(outcome.error);
    return name != nullptr ? name : absl::StrCat("errno ", outcome.error);
  }
  if (op.kind == OpKind::kRead) return absl::StrFormat("word 0x%x", outcome.word);
  return absl::StrFormat("0x%x", outcome.value);
}

std::string Describe(const MapLine& line) {
  static constexpr const char* kNames[] = {"",      " shared anonymous", " file", " heap", " stack",
                                           " other"};
  return absl::StrFormat("%x-%x %s %x%s", line.start, line.end,
                         std::string(line.perms.begin(), line.perms.end()), line.offset,
                         kNames[static_cast<size_t>(line.name)]);
}

std::string Describe(const PageState& page) {
  return absl::StrFormat("page %x%s%s%s%s", page.address, page.present ? " present" : "",
                         page.file_or_shared ? " file/shared" : "", page.guard ? " guard" : "",
                         page.readable ? absl::StrFormat(" word 0x%x", page.word) : "");
}

template <typename T>
void AppendDifferences(const std::vector<T>& kernel, const std::vector<T>& other,
                       std::string& text) {
  const auto missing = [&text](const std::vector<T>& from, const std::vector<T>& in, char sign) {
    for (const T& item : from) {
      if (std::find(in.begin(), in.end(), item) != in.end()) continue;
      absl::StrAppendFormat(&text, "  %c %s\n", sign, Describe(item));
    }
  };
  missing(kernel, other, '-');
  missing(other, kernel, '+');
}

std::string DescribeDifference(int process, const Snapshot& kernel, const Snapshot& other) {
  std::string text = absl::StrFormat("p%d looks different (- kernel, + other):\n", process);
  AppendDifferences(kernel.lines, other.lines, text);
  AppendDifferences(kernel.pages, other.pages, text);
  return text;
}

void Settle(const Divergence& divergence, std::string text, StepResult& result) {
  for (const KnownDifference& known : KnownDifferences()) {
    if (!known.matches(divergence)) continue;
    result.known = known.name;
    return;
  }
  result.difference = std::move(text);
}

}  // namespace

Duel::Duel(const SubjectFactory& kernel, const SubjectFactory& other)
    : kernel_(kernel()), other_(other()) {}

std::optional<std::string> Duel::CompareStart() {
  kernel_->Observe(0, kernel_snapshots_[0]);
  other_->Observe(0, other_snapshots_[0]);
  if (kernel_snapshots_[0] == other_snapshots_[0]) return std::nullopt;
  return absl::StrCat("before the first operation ",
                      DescribeDifference(0, kernel_snapshots_[0], other_snapshots_[0]));
}

StepResult Duel::Step(const Operation& unresolved) {
  StepResult result;
  const std::optional<Operation> op = Resolve(unresolved);
  if (!op || !CanApply(*op)) return result;
  result.compared = true;
  result.outcome = kernel_->Apply(*op);
  const Outcome other = other_->Apply(*op);
  if (result.outcome != other) {
    Settle({*op, result.outcome, other, nullptr, nullptr},
           absl::StrFormat("kernel: %s\nother:  %s\n", Describe(*op, result.outcome),
                           Describe(*op, other)),
           result);
    return result;
  }
  if (other.died) {
    result.difference = "the process died on both sides: an operation must not reach it\n";
    return result;
  }
  if (op->kind == OpKind::kFork && other.error == 0) live_[op->args[0]] = true;
  if (op->kind == OpKind::kExit) live_[op->process] = false;
  if (op->label != 0 && other.error == 0) addresses_[op->label] = other.value;
  CompareAll(*op, other, result);
  return result;
}

void Duel::CompareAll(const Operation& op, const Outcome& other, StepResult& result) {
  for (int process = 0; process < kMaxProcesses; ++process) {
    if (!live_[process]) continue;
    Snapshot& kernel_snapshot = kernel_snapshots_[process];
    Snapshot& other_snapshot = other_snapshots_[process];
    kernel_->Observe(process, kernel_snapshot);
    other_->Observe(process, other_snapshot);
    if (kernel_snapshot == other_snapshot) continue;
    Settle({op, result.outcome, other, &kernel_snapshot, &other_snapshot},
           absl::StrFormat("both: %s\n%s", Describe(op, other),
                           DescribeDifference(process, kernel_snapshot, other_snapshot)),
           result);
    return;
  }
}

bool Duel::CanApply(const Operation& op) const {
  if (!live_[op.process]) return false;
  if (op.kind == OpKind::kFork) {
    if (op.args[0] >= kMaxProcesses || live_[op.args[0]]) return false;
  }
  return kernel_->Supports(op) && other_->Supports(op);
}

std::optional<Operation> Duel::Resolve(const Operation& op) const {
  Operation resolved = op;
  if (op.base != 0) {
    const std::optional<uint64_t> base = address(op.base);
    if (!base) return std::nullopt;
    resolved.args[0] += *base;
  }
  if (op.target_base != 0) {
    const std::optional<uint64_t> base = address(op.target_base);
    if (!base) return std::nullopt;
    resolved.args[4] += *base;
  }
  return resolved;
}

std::optional<uint64_t> Duel::address(int label) const {
  const auto found = addresses_.find(label);
  if (found == addresses_.end()) return std::nullopt;
  return found->second;
}

std::string Describe(const Snapshot& snapshot) {
  std::string text;
  for (const MapLine& line : snapshot.lines) absl::StrAppend(&text, "  ", Describe(line), "\n");
  for (const PageState& page : snapshot.pages) absl::StrAppend(&text, "  ", Describe(page), "\n");
  return text;
}

int Duel::live_count() const {
  return static_cast<int>(std::count(live_.begin(), live_.end(), true));
}

}  // namespace faultline::oracle

// SPDX-License-Identifier: Apache-2.0
//
// Replay strings: one schedule as text. Format, version 1, fields separated by ':' and free of
// characters that a shell would touch:
//
//   fl1:SCENARIO:SCHEME:POLICIES:MUTANT:COUNT:CHOICES:CHECK
//
// CHOICES names for each of COUNT steps the fiber and the kind of operation: a fiber's number, then
// one letter (op.h) per consecutive step of it, as in "0LsU1LP". CHECK is a checksum over all that
// precedes, so that a string that was cut or mistyped is refused instead of replayed wrongly.
// Guarantee: Decode(Encode(x)) equals x; any other string yields an error that says what is wrong.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/build.h"
#include "core/sync/modelled/driver.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// What was run: everything besides the schedule that determines a run.
struct RunIdentity {
  std::string scenario;
  std::string scheme = "none";
  std::string policies = "none";
  std::string mutant = "none";

  friend bool operator==(const RunIdentity&, const RunIdentity&) = default;
};

/// One recorded choice.
struct ReplayChoice {
  uint8_t fiber;
  OpKind kind;

  friend bool operator==(const ReplayChoice&, const ReplayChoice&) = default;
};

struct Replay {
  RunIdentity identity;
  std::vector<ReplayChoice> choices;
};

/// The choices that an execution's steps made.
[[nodiscard]] std::vector<ReplayChoice> ChoicesOf(const Execution& execution);

[[nodiscard]] std::string EncodeReplay(const Replay& replay);

/// The decoded string, or a sentence that says why it is refused.
[[nodiscard]] std::variant<Replay, std::string> DecodeReplay(std::string_view text);

/// Whether `replay` belongs to a run of `identity`; if not, a sentence naming the field that
/// differs.
[[nodiscard]] std::optional<std::string> ReplayMismatch(const Replay& replay,
                                                        const RunIdentity& identity);

/// Makes the recorded choices. At the first step whose fiber is not eligible or has announced
/// another kind of operation it stops the run. Behind the last choice the run goes on without
/// preemptions.
class ReplayDriver : public Driver {
 public:
  explicit ReplayDriver(std::vector<ReplayChoice> choices) : choices_(std::move(choices)) {}

  [[nodiscard]] int Choose(const Execution& execution, FiberMask eligible, int current) override;

  /// "diverged at step N: expected X, found Y", or empty if all choices so far could be made. Ask
  /// after the run; `execution` is the one that was run.
  [[nodiscard]] std::string Divergence(const Execution& execution) const;

 private:
  const std::vector<ReplayChoice> choices_;
  std::string divergence_;
};

/// The choice that continues without a preemption: the current fiber, else the first eligible one.
[[nodiscard]] int ChooseWithoutPreemption(const Execution& execution, FiberMask eligible,
                                          int current);

}  // namespace faultline

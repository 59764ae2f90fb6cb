// SPDX-License-Identifier: Apache-2.0
//
// Implementation of replay.h.
#include "core/sync/modelled/replay.h"

#include <bit>
#include <charconv>

#include <absl/strings/ascii.h>
#include <absl/strings/str_format.h>

#include "core/sync/modelled/execution.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

constexpr std::string_view kVersion = "fl1";
constexpr size_t kFields = 8;

/// FNV-1a: only has to notice accidents.
uint32_t Checksum(std::string_view text) {
  uint32_t hash = 2166136261u;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619u;
  return hash;
}

/// Reads all of `text` as a number.
template <class Number>
bool ParseNumber(std::string_view text, Number& number) {
  const char* end = text.data() + text.size();
  // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): a range, not a C string
  const std::from_chars_result result = std::from_chars(text.data(), end, number);
  return result.ec == std::errc() && result.ptr == end;
}

std::vector<std::string_view> SplitFields(std::string_view text) {
  std::vector<std::string_view> fields;
  while (true) {
    const size_t end = text.find(':');
    fields.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return fields;
    text.remove_prefix(end + 1);
  }
}

std::string EncodeChoices(const std::vector<ReplayChoice>& choices) {
  std::string text;
  int fiber = kNoFiber;
  for (const ReplayChoice& choice : choices) {
    if (choice.fiber != fiber) text += std::to_string(choice.fiber);
    fiber = choice.fiber;
    text.push_back(Letter(choice.kind));
  }
  return text.empty() ? "-" : text;
}

std::variant<std::vector<ReplayChoice>, std::string> DecodeChoices(std::string_view text) {
  std::vector<ReplayChoice> choices;
  if (text == "-") return choices;
  int fiber = kNoFiber;
  for (size_t i = 0; i < text.size();) {
    if (absl::ascii_isdigit(static_cast<unsigned char>(text[i]))) {
      size_t end = i;
      while (end < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[end]))) ++end;
      if (!ParseNumber(text.substr(i, end - i), fiber) || fiber >= kMaxFibers) {
        return absl::StrFormat("fiber %s is out of range, allowed are 0 to %d",
                               text.substr(i, end - i), kMaxFibers - 1);
      }
      i = end;
      continue;
    }
    const std::optional<OpKind> kind = OpKindFromLetter(text[i]);
    if (!kind.has_value()) {
      return absl::StrFormat("choice %d has the unknown operation '%c'", choices.size() + 1,
                             text[i]);
    }
    if (fiber == kNoFiber) return std::string("the choices do not begin with a fiber number");
    choices.push_back({static_cast<uint8_t>(fiber), *kind});
    ++i;
  }
  return choices;
}

std::string Describe(const Execution& execution, int fiber, OpKind kind) {
  const std::string_view name =
      fiber < execution.fiber_count() ? execution.FiberName(fiber) : "no such task";
  return absl::StrFormat("%s by fiber %d (%s)", Name(kind), fiber, name);
}

}  // namespace

std::vector<ReplayChoice> ChoicesOf(const Execution& execution) {
  std::vector<ReplayChoice> choices;
  choices.reserve(execution.steps().size());
  for (const Step& step : execution.steps()) choices.push_back({step.fiber, step.op.kind});
  return choices;
}

std::string EncodeReplay(const Replay& replay) {
  const RunIdentity& id = replay.identity;
  std::string text =
      absl::StrFormat("%s:%s:%s:%s:%s:%d:%s:", kVersion, id.scenario, id.scheme, id.policies,
                      id.mutant, replay.choices.size(), EncodeChoices(replay.choices));
  absl::StrAppendFormat(&text, "%08x", Checksum(text));
  return text;
}

std::variant<Replay, std::string> DecodeReplay(std::string_view text) {
  const std::vector<std::string_view> fields = SplitFields(text);
  if (fields[0] != kVersion) {
    return absl::StrFormat("replay string: the format version is '%s', this program reads '%s'",
                           fields[0].substr(0, 16), kVersion);
  }
  if (fields.size() != kFields) {
    return absl::StrFormat("replay string: it has %d fields instead of %d; it was probably cut",
                           fields.size(), kFields);
  }
  const std::string check =
      absl::StrFormat("%08x", Checksum(text.substr(0, text.size() - fields.back().size())));
  if (fields.back() != check) {
    return absl::StrFormat(
        "replay string: its checksum is '%s', the text before it has '%s'; it was cut or changed",
        fields.back(), check);
  }
  auto choices = DecodeChoices(fields[6]);
  if (const auto* problem = std::get_if<std::string>(&choices)) {
    return "replay string: " + *problem;
  }
  Replay replay{{std::string(fields[1]), std::string(fields[2]), std::string(fields[3]),
                 std::string(fields[4])},
                std::get<std::vector<ReplayChoice>>(std::move(choices))};
  size_t count = 0;
  if (!ParseNumber(fields[5], count) || count != replay.choices.size()) {
    return absl::StrFormat("replay string: %s choices are announced, %d are there", fields[5],
                           replay.choices.size());
  }
  return replay;
}

std::optional<std::string> ReplayMismatch(const Replay& replay, const RunIdentity& identity) {
  const RunIdentity& recorded = replay.identity;
  const auto differ = [](std::string_view field, std::string_view is, std::string_view wanted) {
    return absl::StrFormat("replay string: it is for %s '%s', not for '%s'", field, is, wanted);
  };
  if (recorded.scenario != identity.scenario) {
    return differ("scenario", recorded.scenario, identity.scenario);
  }
  if (recorded.scheme != identity.scheme) return differ("scheme", recorded.scheme, identity.scheme);
  if (recorded.policies != identity.policies) {
    return differ("policies", recorded.policies, identity.policies);
  }
  if (recorded.mutant != identity.mutant) return differ("mutant", recorded.mutant, identity.mutant);
  return std::nullopt;
}

int ChooseWithoutPreemption(const Execution& execution, FiberMask eligible, int current) {
  if (current == kNoFiber) return std::countr_zero(eligible);
  const bool can_go_on = (eligible & MaskOf(current)) != 0;
  if (can_go_on && execution.pending(current).kind != OpKind::kYield) return current;
  // Round robin from the current fiber on, so that fibers that yield to each other take turns.
  const FiberMask later = eligible & ~((MaskOf(current) << 1) - 1);
  return std::countr_zero(later != 0 ? later : eligible);
}

int ReplayDriver::Choose(const Execution& execution, FiberMask eligible, int current) {
  const uint32_t step = execution.step_count();
  if (step >= choices_.size()) return ChooseWithoutPreemption(execution, eligible, current);
  const ReplayChoice& wanted = choices_[step];
  std::string found;
  if (wanted.fiber >= execution.fiber_count()) {
    found = "no such fiber";
  } else if (execution.HasEnded(wanted.fiber)) {
    found = "that fiber at its end";
  } else if (execution.pending(wanted.fiber).kind != wanted.kind) {
    found = Describe(execution, wanted.fiber, execution.pending(wanted.fiber).kind);
  } else if ((eligible & MaskOf(wanted.fiber)) == 0) {
    found = "that fiber blocked";
  }
  if (found.empty()) return wanted.fiber;
  divergence_ = absl::StrFormat("diverged at step %d: expected %s, found %s", step + 1,
                                Describe(execution, wanted.fiber, wanted.kind), found);
  return kNoFiber;
}

std::string ReplayDriver::Divergence(const Execution& execution) const {
  if (!divergence_.empty() || execution.step_count() >= choices_.size()) return divergence_;
  const ReplayChoice& wanted = choices_[execution.step_count()];
  return absl::StrFormat("diverged at step %d: expected %s, found the end of the run",
                         execution.step_count() + 1,
                         Describe(execution, wanted.fiber, wanted.kind));
}

}  // namespace faultline

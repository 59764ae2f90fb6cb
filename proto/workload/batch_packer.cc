// SPDX-License-Identifier: Apache-2.0
//
// Packing of a script. One value per slot is followed: where it is to be found decides whether an
// operation can be packed now.
//
// An operation that is relative to a failed one within its batch is skipped by the server; one that
// is relative to a failure which is known already is not even sent.
#include "proto/workload/batch_packer.h"

#include <cstdint>

namespace faultline::workload {

void BatchPacker::Begin(uint64_t batch_id) { builder_.Start(batch_id); }

PackEnd BatchPacker::Pack(Script& script, uint32_t limit) {
  while (true) {
    if (!pending_ && !script.Next(operation_)) return PackEnd::kRound;
    pending_ = true;
    if (operation_.action == Action::kNothing) {
      pending_ = false;
      continue;
    }
    if (operation_.action != Action::kCall) {
      pending_ = false;
      return PackEnd::kHost;
    }
    if (builder_.operations() == limit) return PackEnd::kFull;
    if (Append(script) == Appended::kNeedsValue) return PackEnd::kValue;
    pending_ = false;
  }
}

BatchPacker::Appended BatchPacker::Append(Script& script) {
  columns::Place place{.address = operation_.address};
  if (operation_.base != Slot::kNone) {
    const Value& value = values_[static_cast<std::size_t>(operation_.base)];
    switch (value.state) {
      case Value::State::kUnknown:
        values_[static_cast<std::size_t>(operation_.result)] = {};
        script.SkipStep();
        return Appended::kDropped;
      case Value::State::kNumber:
        place.address += value.number;
        break;
      case Value::State::kInBatch:
        if (value.batch_id != builder_.batch().batch_id()) return Appended::kNeedsValue;
        place.base = value.operation + 1;
        break;
    }
  }
  const uint32_t index =
      builder_.Add(operation_.kind, place, operation_.length, operation_.arguments());
  if (operation_.result != Slot::kNone) {
    values_[static_cast<std::size_t>(operation_.result)] = {.state = Value::State::kInBatch,
                                                            .batch_id = builder_.batch().batch_id(),
                                                            .operation = index};
  }
  return Appended::kYes;
}

void BatchPacker::Learn(const columns::ResultsReader& results, uint64_t batch_id) {
  for (Value& value : values_) {
    if (value.state != Value::State::kInBatch || value.batch_id != batch_id) continue;
    if (value.operation < results.completed() && results.outcome(value.operation).ok()) {
      value = {.state = Value::State::kNumber, .number = results.value(value.operation)};
    } else {
      value = {};
    }
  }
}

}  // namespace faultline::workload

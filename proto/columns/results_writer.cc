// SPDX-License-Identifier: Apache-2.0
//
// Begin and End of a result. Clear keeps the memory of protobuf's repeated fields, and so does
// Truncate, which is why one message per stream is enough.
//
// A column that was filled but is all zero in what remains after a cut keeps its zeros: the API
// allows both, and looking for them would cost what the empty column saves.
#include "proto/columns/results_writer.h"

#include <cstdint>

namespace faultline::columns {

void ResultsWriter::Begin(const v1::OperationBatch& batch) {
  results_.Clear();
  results_.set_batch_id(batch.batch_id());
  operations_ = batch.operations();
  outcomes_ = {};
  values_ = {};
  latencies_ = {};
  rungs_ = {};
}

void ResultsWriter::End(std::uint32_t completed, v1::BatchEnd end) {
  results_.set_completed(completed);
  results_.set_end(end);
  if (completed == operations_) return;
  const auto cut = [completed](auto* field) {
    if (!field->empty()) field->Truncate(static_cast<int>(completed));
  };
  cut(results_.mutable_outcomes());
  cut(results_.mutable_values());
  cut(results_.mutable_latencies_ns());
  cut(results_.mutable_rungs());
}

}  // namespace faultline::columns

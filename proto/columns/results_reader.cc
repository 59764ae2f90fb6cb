// SPDX-License-Identifier: Apache-2.0
//
// The check of a result against its batch, for clients: the same promises that ResultsWriter keeps
// on the other side.
//
// Fewer operations than the batch had are right only with a reason, and a reason only with fewer,
// except that a batch may have stopped with its last operation.
#include "proto/columns/results_reader.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include <absl/strings/str_cat.h>

namespace faultline::columns {
namespace {

std::optional<std::string> WhyWrongLength(const char* column, int length, std::uint32_t completed) {
  if (length == 0 || static_cast<std::uint32_t>(length) == completed) return std::nullopt;
  return absl::StrCat("the column ", column, " has ", length, " elements for ", completed,
                      " operations");
}

}  // namespace

bool ResultsReader::all_ok() const {
  return std::all_of(results_.outcomes().begin(), results_.outcomes().end(),
                     [](std::uint32_t packed) { return packed == 0; });
}

std::optional<std::string> WhyMalformed(const v1::OperationResults& results,
                                        const v1::OperationBatch& batch) {
  const std::uint32_t completed = results.completed();
  if (results.batch_id() != batch.batch_id()) {
    return absl::StrCat("the result of batch ", results.batch_id(), " came for batch ",
                        batch.batch_id());
  }
  if (completed > batch.operations()) {
    return absl::StrCat(completed, " operations were carried out of ", batch.operations());
  }
  if (completed < batch.operations() && results.end() == v1::BATCH_END_UNSPECIFIED) {
    return absl::StrCat(completed, " operations were carried out of ", batch.operations(),
                        ", and nothing says why");
  }
  if (auto why = WhyWrongLength("outcomes", results.outcomes_size(), completed)) return why;
  if (auto why = WhyWrongLength("values", results.values_size(), completed)) return why;
  if (auto why = WhyWrongLength("latencies_ns", results.latencies_ns_size(), completed)) return why;
  return WhyWrongLength("rungs", results.rungs_size(), completed);
}

}  // namespace faultline::columns

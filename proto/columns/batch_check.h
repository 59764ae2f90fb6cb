// SPDX-License-Identifier: Apache-2.0
//
// Whether a batch of operations is well formed, which is asked once for the whole of it before its
// first operation is carried out (attach.proto).
//
// What costs: nothing for each operation if the batch has one kind for all and no bases, whatever
// its other columns; a table look-up for each if it has several kinds, one more if it has bases.
// Addresses, lengths and arguments are raw: the simulated kernel judges them.
//
// Guarantee: of a batch without a problem, BatchReader reads nothing outside of its columns.
#pragma once

#include <cstdint>

#include "faultline/v1/attach.pb.h"
#include "proto/columns/error_detail.h"

namespace faultline::columns {

/// What a server accepts.
struct BatchLimits {
  /// Limits.max_batch_operations.
  std::uint32_t max_operations;
};

/// The first problem of `batch`: COLUMN_LENGTH, OUT_OF_RANGE or UNKNOWN_ENUM_VALUE with a field
/// such as "batch.lengths" or "batch.bases[17]"; nothing if it can be carried out.
[[nodiscard]] MaybeProblem WhyBad(const v1::OperationBatch& batch, BatchLimits limits);

}  // namespace faultline::columns

// SPDX-License-Identifier: Apache-2.0
//
// Reads what became of a batch, operation by operation: empty columns are zeros.
//
// A client does not trust its server with its own memory: an index that is in no column reads as
// zero, and WhyMalformed says what a server did that it must not. Borrows the message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "faultline/v1/attach.pb.h"
#include "proto/columns/outcome.h"

namespace faultline::columns {

class ResultsReader {
 public:
  explicit ResultsReader(const v1::OperationResults& results) : results_(results) {}

  /// How many operations were carried out or skipped, from the first on.
  [[nodiscard]] std::uint32_t completed() const { return results_.completed(); }
  [[nodiscard]] v1::BatchEnd end() const { return results_.end(); }
  /// None failed and none was skipped, without a look at each if the server says so.
  [[nodiscard]] bool all_ok() const;

  /// Of operation `i`, from 0, below completed().
  [[nodiscard]] Outcome outcome(std::uint32_t i) const {
    return Outcome(At(results_.outcomes(), i));
  }
  [[nodiscard]] std::uint64_t value(std::uint32_t i) const { return At(results_.values(), i); }
  /// 0 also if the batch did not ask for it.
  [[nodiscard]] std::uint64_t latency_ns(std::uint32_t i) const {
    return At(results_.latencies_ns(), i);
  }
  /// Of its last fault; none also if the batch did not ask for it.
  [[nodiscard]] Rungs rungs(std::uint32_t i) const { return Rungs(At(results_.rungs(), i)); }

 private:
  template <class T>
  static T At(const google::protobuf::RepeatedField<T>& column, std::uint32_t i) {
    return i < static_cast<std::uint32_t>(column.size()) ? column.Get(static_cast<int>(i)) : T{};
  }

  const v1::OperationResults& results_;
};

/// What is wrong with `results` as the answer to `batch`, as a sentence: another mark, more than
/// there were, or a column of a length that it must not have. Nothing: it can be read.
[[nodiscard]] std::optional<std::string> WhyMalformed(const v1::OperationResults& results,
                                                      const v1::OperationBatch& batch);

}  // namespace faultline::columns

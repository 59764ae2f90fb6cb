// SPDX-License-Identifier: Apache-2.0
//
// The check of a batch, in the order of its fields: how many, which kinds, then each column's
// length, then where bases point. Lengths of columns are compared before any element is looked at,
// except that the kinds say how many arguments there must be.
//
// Sums cannot overflow: a batch has fewer than 2^32 operations and a kind at most five arguments.
#include "proto/columns/batch_check.h"

#include <cstdint>
#include <string>
#include <string_view>

#include <absl/strings/str_cat.h>

#include "proto/columns/kinds.h"

namespace faultline::columns {
namespace {

MaybeProblem Problem(v1::ErrorReason reason, std::string_view field, std::uint64_t value,
                     std::string_view allowed) {
  return MakeProblem(reason, {.field = field, .value = absl::StrCat(value), .allowed = allowed});
}

MaybeProblem WrongLength(const char* column, int length, std::string_view allowed) {
  return MakeProblem(v1::ERROR_REASON_COLUMN_LENGTH, {.field = absl::StrCat("batch.", column),
                                                      .value = absl::StrCat(length, " elements"),
                                                      .allowed = allowed});
}

/// A column of `operations` elements or none.
MaybeProblem CheckFullOrEmpty(const char* column, int length, std::uint32_t operations) {
  if (length == 0 || static_cast<std::uint32_t>(length) == operations) return std::nullopt;
  return WrongLength(column, length,
                     absl::StrCat("none, or ", operations, ", one for each operation"));
}

MaybeProblem CheckColumnLengths(const v1::OperationBatch& batch) {
  const std::uint32_t operations = batch.operations();
  const auto kinds = static_cast<std::uint32_t>(batch.kinds_size());
  if (kinds != 1 && kinds != operations) {
    return WrongLength("kinds", batch.kinds_size(),
                       absl::StrCat("1 for all, or ", operations, ", one for each operation"));
  }
  if (auto problem = CheckFullOrEmpty("addresses", batch.addresses_size(), operations)) {
    return problem;
  }
  const auto lengths = static_cast<std::uint32_t>(batch.lengths_size());
  if (lengths > 1 && lengths != operations) {
    return WrongLength(
        "lengths", batch.lengths_size(),
        absl::StrCat("none, 1 for all, or ", operations, ", one for each operation"));
  }
  return CheckFullOrEmpty("bases", batch.bases_size(), operations);
}

/// Whether all kinds exist, and the arguments are as many as they take together.
MaybeProblem CheckKindsAndArguments(const v1::OperationBatch& batch) {
  std::uint64_t arguments = 0;
  for (int i = 0; i < batch.kinds_size(); ++i) {
    const int kind = batch.kinds().Get(i);
    const KindTraits traits = TraitsOf(kind);
    if (!traits.known()) {
      return MakeProblem(v1::ERROR_REASON_UNKNOWN_ENUM_VALUE,
                         {.field = absl::StrCat("batch.kinds[", i, "]"),
                          .value = absl::StrCat(kind),
                          .allowed = "a number of OperationKind except 0"});
    }
    arguments += traits.arguments;
  }
  if (batch.kinds_size() == 1) arguments *= batch.operations();
  if (static_cast<std::uint64_t>(batch.arguments_size()) == arguments) return std::nullopt;
  return WrongLength("arguments", batch.arguments_size(),
                     absl::StrCat(arguments, ", as many as its operations take together"));
}

/// Whether each base is an operation before, and one that gives a value.
MaybeProblem CheckBases(const v1::OperationBatch& batch) {
  const bool one_kind = batch.kinds_size() == 1;
  for (int i = 0; i < batch.bases_size(); ++i) {
    const std::uint32_t base = batch.bases(i);
    if (base == 0) continue;
    if (base > static_cast<std::uint32_t>(i)) {
      return Problem(v1::ERROR_REASON_OUT_OF_RANGE, absl::StrCat("batch.bases[", i, "]"), base,
                     absl::StrCat("0 to ", i, ": an operation before it, the first being 1"));
    }
    const int kind = batch.kinds().Get(one_kind ? 0 : static_cast<int>(base) - 1);
    if (!TraitsOf(kind).gives_value) {
      return Problem(v1::ERROR_REASON_OUT_OF_RANGE, absl::StrCat("batch.bases[", i, "]"), base,
                     absl::StrCat("an operation that gives a value, which ",
                                  v1::OperationKind_Name(kind), " does not"));
    }
  }
  return std::nullopt;
}

}  // namespace

MaybeProblem WhyBad(const v1::OperationBatch& batch, BatchLimits limits) {
  if (batch.operations() == 0 || batch.operations() > limits.max_operations) {
    return Problem(v1::ERROR_REASON_OUT_OF_RANGE, "batch.operations", batch.operations(),
                   absl::StrCat("1 to ", limits.max_operations, " (Limits.max_batch_operations)"));
  }
  if (auto problem = CheckColumnLengths(batch)) return problem;
  if (auto problem = CheckKindsAndArguments(batch)) return problem;
  return CheckBases(batch);
}

}  // namespace faultline::columns

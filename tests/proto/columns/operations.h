// SPDX-License-Identifier: Apache-2.0
//
// Batches as lists of operations, for tests of proto/columns: random ones that are well formed, and
// the way from a list to columns and back.
//
// A list says plainly what columns say in short, so a round trip through columns must give the same
// list.
#pragma once

#include <rapidcheck.h>

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <vector>

#include "faultline/v1/attach.pb.h"
#include "proto/columns/batch_builder.h"
#include "proto/columns/batch_reader.h"
#include "proto/columns/kinds.h"

namespace faultline::columns {

struct Operation {
  v1::OperationKind kind = v1::OPERATION_KIND_FAULT_READ;
  uint64_t address = 0;
  uint64_t length = 0;
  uint32_t base = 0;
  // NOLINTNEXTLINE(readability-redundant-member-init): GCC wants it to be left out at will
  std::vector<uint64_t> arguments = {};

  friend bool operator==(const Operation&, const Operation&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Operation& operation) {
    out << v1::OperationKind_Name(operation.kind) << '(' << operation.address << ", "
        << operation.length << " from " << operation.base;
    for (const uint64_t argument : operation.arguments) out << ", " << argument;
    return out << ')';
  }
};
using Operations = std::vector<Operation>;

/// The kinds that may be sent.
inline std::vector<v1::OperationKind> KnownKinds() {
  std::vector<v1::OperationKind> kinds;
  for (int kind = 0; kind < static_cast<int>(kKinds); ++kind) {
    if (TraitsOf(kind).known()) kinds.push_back(static_cast<v1::OperationKind>(kind));
  }
  return kinds;
}

/// At least one operation, at most 60. Alike ones are frequent, so that columns collapse.
inline Operations AnyOperations() {
  const auto kinds = *rc::gen::container<std::vector<v1::OperationKind>>(
      *rc::gen::inRange<size_t>(1, 4), rc::gen::elementOf(KnownKinds()));
  const auto number = rc::gen::oneOf(rc::gen::element<uint64_t>(0, 0, 4096, UINT64_MAX - 4095),
                                     rc::gen::arbitrary<uint64_t>());
  const bool alike = *rc::gen::arbitrary<bool>();
  const uint64_t length = *number;
  Operations operations(*rc::gen::inRange<size_t>(1, 60));
  for (size_t i = 0; i < operations.size(); ++i) {
    Operation& operation = operations[i];
    operation.kind = *rc::gen::elementOf(kinds);
    operation.address = alike ? 0 : *number;
    operation.length = alike ? length : *number;
    operation.arguments =
        *rc::gen::container<std::vector<uint64_t>>(TraitsOf(operation.kind).arguments, number);
    const auto base = *rc::gen::inRange<size_t>(0, i + 1);
    if (base > 0 && TraitsOf(operations[base - 1].kind).gives_value) {
      operation.base = static_cast<uint32_t>(base);
    }
  }
  return operations;
}

inline void Build(BatchBuilder& builder, const Operations& operations) {
  for (const Operation& operation : operations) {
    builder.Add(operation.kind, {.address = operation.address, .base = operation.base},
                operation.length, operation.arguments);
  }
}

inline v1::OperationBatch BatchOf(const Operations& operations) {
  v1::OperationBatch batch;
  BatchBuilder builder(batch);
  Build(builder, operations);
  return batch;
}

inline Operations OperationsOf(const v1::OperationBatch& batch) {
  BatchReader reader(batch);
  Operations operations(reader.operations());
  for (uint32_t i = 0; i < reader.operations(); ++i) {
    const auto arguments = reader.TakeArguments(reader.kind(i));
    operations[i] = {.kind = reader.kind(i),
                     .address = reader.address(i),
                     .length = reader.length(i),
                     .base = reader.base(i),
                     .arguments = {arguments.begin(), arguments.end()}};
  }
  return operations;
}

}  // namespace faultline::columns

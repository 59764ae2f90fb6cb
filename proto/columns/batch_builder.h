// SPDX-License-Identifier: Apache-2.0
//
// Builds a batch of operations in the columns of an OperationBatch that is used again and again.
//
// Columns are as short as attach.proto allows: `kinds` and `lengths` have one element while all are
// alike, `lengths`, `addresses` and `bases` none while all are 0, and each is written out with the
// first operation that makes it necessary. Memory is kept between batches.
//
// Invariant: after every call the batch is one that a server accepts, but for its size if it is
// empty or larger than the server's limit, and but for a place relative to what gives no value.
#pragma once

#include <cstdint>
#include <span>

#include "faultline/v1/attach.pb.h"
#include "faultline/v1/common.pb.h"

namespace faultline::columns {

/// Where an operation works: an address, or a distance from what an earlier operation of the batch
/// gives. Written {address}, or BatchBuilder::Relative.
struct Place {
  std::uint64_t address;
  /// As in OperationBatch.bases: 0 nothing, else the operation's index plus one.
  std::uint32_t base = 0;
};

/// What mmap is asked for besides address and length; attach.proto says how it is packed.
struct MmapArguments {
  std::uint64_t prot = 0;
  std::uint64_t flags = 0;
  /// The number of a file of the machine. Any other is a bad descriptor, as -1 is.
  std::uint64_t file = UINT64_MAX;
  /// MmapRequest.open_file and read_only_file.
  std::uint64_t open_file = 0;
  bool read_only_file = false;
  std::uint64_t offset = 0;
};

/// Each adder appends one operation and returns its index, from 0. All arguments are raw.
class BatchBuilder {
 public:
  /// Builds in `batch`, which outlives it, and begins with it empty.
  explicit BatchBuilder(v1::OperationBatch& batch) : batch_(batch) { Start(batch.batch_id()); }
  BatchBuilder(const BatchBuilder&) = delete;
  BatchBuilder& operator=(const BatchBuilder&) = delete;

  /// Empties the batch, flags included, and gives it a new mark.
  void Start(std::uint64_t batch_id);
  /// The batch that is being built, for its flags.
  [[nodiscard]] v1::OperationBatch& batch() { return batch_; }
  [[nodiscard]] std::uint32_t operations() const { return batch_.operations(); }

  /// `offset` bytes behind the value of the operation with that index.
  [[nodiscard]] static Place Relative(std::uint32_t operation, std::uint64_t offset) {
    return {.address = offset, .base = operation + 1};
  }

  // Accesses. An access kind that is not known counts as a read.
  std::uint32_t Fault(v1::AccessKind access, Place where);
  std::uint32_t FaultFromKernel(v1::AccessKind access, Place where);
  std::uint32_t Touch(v1::AccessKind access, Place where);
  std::uint32_t TouchRange(v1::AccessKind access, Place where, std::uint64_t length);
  std::uint32_t Load(Place where);
  std::uint32_t Store(Place where, std::uint64_t word);

  // System calls.
  std::uint32_t Mmap(Place where, std::uint64_t length, const MmapArguments& arguments);
  std::uint32_t Munmap(Place where, std::uint64_t length);
  std::uint32_t Mprotect(Place where, std::uint64_t length, std::uint64_t prot);
  std::uint32_t Mremap(Place where, std::uint64_t length, std::uint64_t new_length,
                       std::uint64_t flags, std::uint64_t new_address);
  std::uint32_t Madvise(Place where, std::uint64_t length, std::uint64_t advice);
  std::uint32_t Mseal(Place where, std::uint64_t length, std::uint64_t flags);
  std::uint32_t Brk(Place where);
  std::uint32_t Mlock(Place where, std::uint64_t length, std::uint64_t flags);
  std::uint32_t Munlock(Place where, std::uint64_t length);
  std::uint32_t Mlockall(std::uint64_t flags);
  std::uint32_t Munlockall();
  std::uint32_t Fork();
  std::uint32_t Exit();

  // Waits.
  std::uint32_t WaitProgress(std::uint64_t thread, std::uint64_t operations,
                             std::uint64_t timeout_ns);
  std::uint32_t WaitClock(std::uint64_t nanoseconds);
  std::uint32_t Pause(std::uint64_t nanoseconds);

  /// Any kind. `arguments` has as many elements as the kind takes (TraitsOf).
  std::uint32_t Add(v1::OperationKind kind, Place where, std::uint64_t length,
                    std::span<const std::uint64_t> arguments);

 private:
  std::uint32_t Add(v1::OperationKind kind, Place where, std::uint64_t length);
  std::uint32_t Add1(v1::OperationKind kind, Place where, std::uint64_t length,
                     std::uint64_t argument);
  void AddToAllColumns(v1::OperationKind kind, Place where, std::uint64_t length);
  void AddKind(v1::OperationKind kind, std::uint32_t before);
  void AddLength(std::uint64_t length, std::uint32_t before);

  /// How a column stands that may have one element for all.
  enum class Column : std::uint8_t { kOneForAll, kFull };

  v1::OperationBatch& batch_;
  Column kinds_ = Column::kOneForAll;
  Column lengths_ = Column::kOneForAll;
  /// Whether all so far are of one kind and length, and only their addresses are a column.
  bool run_ = false;
  v1::OperationKind run_kind_ = v1::OPERATION_KIND_UNSPECIFIED;
  std::uint64_t run_length_ = 0;
};

}  // namespace faultline::columns

// SPDX-License-Identifier: Apache-2.0
//
// The adders of BatchBuilder, and how columns grow: one element for all as long as that is enough,
// then all written out at once, then one for each.
//
// The column of lengths has a third form, empty for all zero, which is why zero needs no element
// of its own: an empty column and a zero are the same.
#include "proto/columns/batch_builder.h"

#include <array>
#include <cstdint>
#include <span>

#include "proto/columns/kinds.h"

namespace faultline::columns {
namespace {

/// Three kinds in the order read, write, exec.
struct ByAccess {
  v1::OperationKind read;
  v1::OperationKind write;
  v1::OperationKind exec;

  [[nodiscard]] v1::OperationKind Of(v1::AccessKind access) const {
    if (access == v1::ACCESS_KIND_WRITE) return write;
    return access == v1::ACCESS_KIND_EXEC ? exec : read;
  }
};

/// Appends to a column that is empty while all is 0. `before` operations came before this one.
template <class T>
void AppendUnlessZero(google::protobuf::RepeatedField<T>& column, T value, std::uint32_t before) {
  if (column.empty()) {
    if (value == 0) return;
    column.Resize(static_cast<int>(before), T{});
  }
  column.Add(value);
}

}  // namespace

void BatchBuilder::Start(std::uint64_t batch_id) {
  batch_.Clear();
  batch_.set_batch_id(batch_id);
  kinds_ = Column::kOneForAll;
  lengths_ = Column::kOneForAll;
  run_ = false;
}

std::uint32_t BatchBuilder::Fault(v1::AccessKind access, Place where) {
  constexpr ByAccess kKind{.read = v1::OPERATION_KIND_FAULT_READ,
                           .write = v1::OPERATION_KIND_FAULT_WRITE,
                           .exec = v1::OPERATION_KIND_FAULT_EXEC};
  return Add(kKind.Of(access), where, 0);
}

std::uint32_t BatchBuilder::FaultFromKernel(v1::AccessKind access, Place where) {
  constexpr ByAccess kKind{.read = v1::OPERATION_KIND_FAULT_READ_KERNEL,
                           .write = v1::OPERATION_KIND_FAULT_WRITE_KERNEL,
                           .exec = v1::OPERATION_KIND_FAULT_READ_KERNEL};
  return Add(kKind.Of(access), where, 0);
}

std::uint32_t BatchBuilder::Touch(v1::AccessKind access, Place where) {
  constexpr ByAccess kKind{.read = v1::OPERATION_KIND_TOUCH_READ,
                           .write = v1::OPERATION_KIND_TOUCH_WRITE,
                           .exec = v1::OPERATION_KIND_TOUCH_EXEC};
  return Add(kKind.Of(access), where, 0);
}

std::uint32_t BatchBuilder::TouchRange(v1::AccessKind access, Place where, std::uint64_t length) {
  constexpr ByAccess kKind{.read = v1::OPERATION_KIND_TOUCH_RANGE_READ,
                           .write = v1::OPERATION_KIND_TOUCH_RANGE_WRITE,
                           .exec = v1::OPERATION_KIND_TOUCH_RANGE_READ};
  return Add(kKind.Of(access), where, length);
}

std::uint32_t BatchBuilder::Load(Place where) { return Add(v1::OPERATION_KIND_LOAD, where, 0); }

std::uint32_t BatchBuilder::Store(Place where, std::uint64_t word) {
  return Add1(v1::OPERATION_KIND_STORE, where, 0, word);
}

std::uint32_t BatchBuilder::Mmap(Place where, std::uint64_t length,
                                 const MmapArguments& arguments) {
  const std::array<std::uint64_t, kMaxArguments> packed{
      arguments.prot, arguments.flags, arguments.file,
      2 * arguments.open_file + (arguments.read_only_file ? 1 : 0), arguments.offset};
  return Add(v1::OPERATION_KIND_MMAP, where, length, packed);
}

std::uint32_t BatchBuilder::Munmap(Place where, std::uint64_t length) {
  return Add(v1::OPERATION_KIND_MUNMAP, where, length);
}

std::uint32_t BatchBuilder::Mprotect(Place where, std::uint64_t length, std::uint64_t prot) {
  return Add1(v1::OPERATION_KIND_MPROTECT, where, length, prot);
}

std::uint32_t BatchBuilder::Mremap(Place where, std::uint64_t length, std::uint64_t new_length,
                                   std::uint64_t flags, std::uint64_t new_address) {
  const std::array<std::uint64_t, 3> packed{new_length, flags, new_address};
  return Add(v1::OPERATION_KIND_MREMAP, where, length, packed);
}

std::uint32_t BatchBuilder::Madvise(Place where, std::uint64_t length, std::uint64_t advice) {
  return Add1(v1::OPERATION_KIND_MADVISE, where, length, advice);
}

std::uint32_t BatchBuilder::Mseal(Place where, std::uint64_t length, std::uint64_t flags) {
  return Add1(v1::OPERATION_KIND_MSEAL, where, length, flags);
}

std::uint32_t BatchBuilder::Brk(Place where) { return Add(v1::OPERATION_KIND_BRK, where, 0); }

std::uint32_t BatchBuilder::Mlock(Place where, std::uint64_t length, std::uint64_t flags) {
  return Add1(v1::OPERATION_KIND_MLOCK, where, length, flags);
}

std::uint32_t BatchBuilder::Munlock(Place where, std::uint64_t length) {
  return Add(v1::OPERATION_KIND_MUNLOCK, where, length);
}

std::uint32_t BatchBuilder::Mlockall(std::uint64_t flags) {
  return Add1(v1::OPERATION_KIND_MLOCKALL, {.address = 0}, 0, flags);
}

std::uint32_t BatchBuilder::Munlockall() {
  return Add(v1::OPERATION_KIND_MUNLOCKALL, {.address = 0}, 0);
}

std::uint32_t BatchBuilder::Fork() { return Add(v1::OPERATION_KIND_FORK, {.address = 0}, 0); }

std::uint32_t BatchBuilder::Exit() { return Add(v1::OPERATION_KIND_EXIT, {.address = 0}, 0); }

std::uint32_t BatchBuilder::WaitProgress(std::uint64_t thread, std::uint64_t operations,
                                         std::uint64_t timeout_ns) {
  return Add1(v1::OPERATION_KIND_WAIT_PROGRESS, {.address = thread}, operations, timeout_ns);
}

std::uint32_t BatchBuilder::WaitClock(std::uint64_t nanoseconds) {
  return Add(v1::OPERATION_KIND_WAIT_CLOCK, {.address = 0}, nanoseconds);
}

std::uint32_t BatchBuilder::Pause(std::uint64_t nanoseconds) {
  return Add(v1::OPERATION_KIND_PAUSE, {.address = 0}, nanoseconds);
}

std::uint32_t BatchBuilder::Add(v1::OperationKind kind, Place where, std::uint64_t length,
                                std::span<const std::uint64_t> arguments) {
  batch_.mutable_arguments()->Add(arguments.begin(), arguments.end());
  return Add(kind, where, length);
}

std::uint32_t BatchBuilder::Add1(v1::OperationKind kind, Place where, std::uint64_t length,
                                 std::uint64_t argument) {
  batch_.add_arguments(argument);
  return Add(kind, where, length);
}

/// Most batches are one long run: then an address is all that an operation costs.
std::uint32_t BatchBuilder::Add(v1::OperationKind kind, Place where, std::uint64_t length) {
  const std::uint32_t before = batch_.operations();
  if (run_ && kind == run_kind_ && length == run_length_ && where.base == 0) [[likely]] {
    batch_.mutable_addresses()->Add(where.address);
  } else {
    AddToAllColumns(kind, where, length);
  }
  batch_.set_operations(before + 1);
  return before;
}

void BatchBuilder::AddToAllColumns(v1::OperationKind kind, Place where, std::uint64_t length) {
  const std::uint32_t before = batch_.operations();
  AddKind(kind, before);
  AppendUnlessZero(*batch_.mutable_addresses(), where.address, before);
  AddLength(length, before);
  AppendUnlessZero(*batch_.mutable_bases(), where.base, before);
  run_ = kinds_ == Column::kOneForAll && lengths_ == Column::kOneForAll &&
         !batch_.addresses().empty() && batch_.bases().empty();
  run_kind_ = kind;
  run_length_ = length;
}

void BatchBuilder::AddKind(v1::OperationKind kind, std::uint32_t before) {
  auto& column = *batch_.mutable_kinds();
  if (kinds_ == Column::kOneForAll) {
    if (before > 0) {
      const int all = column.Get(0);  // a copy, since Resize moves the elements before it fills
      if (kind == all) return;
      column.Resize(static_cast<int>(before), all);
      kinds_ = Column::kFull;
    }
  }
  column.Add(kind);
}

void BatchBuilder::AddLength(std::uint64_t length, std::uint32_t before) {
  auto& column = *batch_.mutable_lengths();
  if (lengths_ == Column::kOneForAll) {
    const std::uint64_t all = column.empty() ? 0 : column.Get(0);
    if (length == all && (before > 0 || length == 0)) return;
    if (before > 0) {
      column.Resize(static_cast<int>(before), all);
      lengths_ = Column::kFull;
    }
  }
  column.Add(length);
}

}  // namespace faultline::columns

// SPDX-License-Identifier: Apache-2.0
//
// Reads a batch that WhyBad accepted, operation by operation, as the server carries it out.
//
// A column that is empty or has one element for all is read with a stride of 0, so that the loop
// has no case for it. The arguments are taken in order: each operation's once, in ascending order,
// also of those that are skipped.
//
// Linux analogue: the ring of io_uring, whose entries are read in place. Borrows the batch, which
// must not change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "faultline/v1/attach.pb.h"
#include "proto/columns/kinds.h"

namespace faultline::columns {

class BatchReader {
 public:
  /// `batch` is one to which WhyBad says nothing.
  explicit BatchReader(const v1::OperationBatch& batch)
      : operations_(batch.operations()),
        kinds_{batch.kinds().data(), batch.kinds_size() > 1 ? 1U : 0U},
        addresses_(FullOrZero(batch.addresses())),
        lengths_{batch.lengths_size() > 0 ? batch.lengths().data() : &kZero<std::uint64_t>,
                 batch.lengths_size() > 1 ? 1U : 0U},
        bases_(FullOrZero(batch.bases())),
        arguments_(batch.arguments().data(), static_cast<std::size_t>(batch.arguments_size())) {}

  [[nodiscard]] std::uint32_t operations() const { return operations_; }
  /// The kind of all, if the batch has one.
  [[nodiscard]] std::optional<v1::OperationKind> uniform_kind() const {
    if (kinds_.stride != 0 && operations_ > 1) return std::nullopt;
    return kind(0);
  }
  /// Some address is relative to an earlier value.
  [[nodiscard]] bool has_bases() const { return bases_.stride != 0; }

  [[nodiscard]] v1::OperationKind kind(std::uint32_t i) const {
    return static_cast<v1::OperationKind>(kinds_[i]);
  }
  /// As it was sent: what it is relative to is not added.
  [[nodiscard]] std::uint64_t address(std::uint32_t i) const { return addresses_[i]; }
  [[nodiscard]] std::uint64_t length(std::uint32_t i) const { return lengths_[i]; }
  /// From 1; 0: relative to nothing.
  [[nodiscard]] std::uint32_t base(std::uint32_t i) const { return bases_[i]; }

  /// The arguments of the next operation that has not had its own, whose kind is `kind`.
  std::span<const std::uint64_t> TakeArguments(v1::OperationKind kind) {
    const std::size_t count = TraitsOf(kind).arguments;
    const std::span<const std::uint64_t> taken = arguments_.first(count);
    arguments_ = arguments_.subspan(count);
    return taken;
  }

 private:
  template <class T>
  struct Column {
    const T* data;
    std::uint32_t stride;
    [[nodiscard]] T operator[](std::uint32_t i) const {
      return data[static_cast<std::size_t>(i) * stride];
    }
  };
  template <class T>
  static constexpr T kZero{};

  template <class T>
  static Column<T> FullOrZero(const google::protobuf::RepeatedField<T>& field) {
    if (field.empty()) return {&kZero<T>, 0};
    return {field.data(), 1};
  }

  std::uint32_t operations_;
  Column<int> kinds_;
  Column<std::uint64_t> addresses_;
  Column<std::uint64_t> lengths_;
  Column<std::uint32_t> bases_;
  std::span<const std::uint64_t> arguments_;
};

}  // namespace faultline::columns

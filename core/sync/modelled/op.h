// SPDX-License-Identifier: Apache-2.0
//
// An operation as a fiber announces it at a scheduling point, and the condition under which it is
// eligible. Kinds and their letters are in core/sync/op.h.
#pragma once

#include "core/base/build.h"
#include "core/base/source_loc.h"
#include "core/sync/op.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// One operation as announced: what, on which object, from where.
struct Op {
  OpKind kind;
  const void* object;  ///< address operated on; null if there is none
  SourceLoc where;
};

/// A reference to a predicate that lives on a suspended fiber's stack. Pure: it may only load.
class Condition {
 public:
  constexpr Condition() = default;
  template <class Predicate>
  explicit Condition(const Predicate& predicate)
      : call_([](const void* p) { return bool((*static_cast<const Predicate*>(p))()); }),
        predicate_(&predicate) {}
  /// A condition that is not set always holds.
  [[nodiscard]] bool set() const { return call_ != nullptr; }
  [[nodiscard]] bool Holds() const { return call_ == nullptr || call_(predicate_); }

 private:
  bool (*call_)(const void*) = nullptr;
  const void* predicate_ = nullptr;
};

}  // namespace faultline

// SPDX-License-Identifier: Apache-2.0
//
// Owned<T, D>: the one owner of a T, given back by D when the owner goes.
//
// It is std::unique_ptr under the name that the core's comments use. What the name adds is the
// rule: whoever may free a thing holds it as Owned (or as a counted reference type of its own), raw
// pointers never own, and a thing handed on is moved from, never flagged. D is a type with
// `void operator()(T*) const noexcept`; it may carry state, such as the arena or slab to return to.
//
// Linux analogue: __free() and no_free_ptr() of include/linux/cleanup.h.
// Invariant: a moved-from or released Owned is null. Shared between threads, it needs a lock.

#pragma once

#include <memory>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A unique owner: `.get()`, `->`, `*`, `.release()`, `.reset()`, move only. There is no default
/// deleter, since objects of a Machine come from its arena and not from `new`.
template <class T, class D>
using Owned = std::unique_ptr<T, D>;

}  // namespace faultline

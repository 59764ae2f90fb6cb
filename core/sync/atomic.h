// SPDX-License-Identifier: Apache-2.0
//
// `Atomic<T>`: the only shared mutable word in the core (Linux: atomic_t, READ_ONCE/WRITE_ONCE and
// the smp_* accessors). One name, two implementations with one interface:
//
//   Load(order)  Store(value, order)  Exchange(value, order)
//   CompareExchange(expected&, desired, success, failure)   strong: fails only on another value
//   FetchAdd FetchSub (integers)   FetchOr FetchAnd (integers)
//   Peek()   for checks and reports: relaxed, and no scheduling point
//
// Invariants of both: T is trivially copyable and at most 8 bytes; the object has T's size and
// layout, so that its cache line is its address; the order is always written out. Construction is
// not atomic: an object is published through another atomic or under a lock.
// Guarantee: in the modelled build every operation is one scheduling point.
#pragma once

#include "core/base/build.h"
#include "core/sync/memory_order.h"

#ifdef FAULTLINE_MODELLED
#include "core/sync/modelled/atomic.h"
#else
#include "core/sync/native/atomic.h"
#endif

// SPDX-License-Identifier: Apache-2.0
//
// `SpinUntil`: the only busy wait in the core (Linux: cpu_relax() loops, smp_cond_load_*()). Nobody
// writes a spin loop by hand, so that the modelled build can treat a spinning fiber as not eligible
// until its condition holds, and a simulator of time can charge for the spinning.
//
// The condition is pure: it loads and compares. It may be evaluated any number of times, in the
// modelled build also while another fiber runs.
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/source_loc.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A bound on busy waiting, in native iterations (one pause instruction each, roughly 10-40 ns).
struct SpinBudget {
  uint32_t iterations;
};

}  // namespace faultline

#ifdef FAULTLINE_MODELLED
#include "core/sync/modelled/spin.h"
#else
#include "core/sync/native/spin.h"
#endif

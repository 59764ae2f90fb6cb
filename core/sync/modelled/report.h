// SPDX-License-Identifier: Apache-2.0
//
// The story of a run as a table a person can read: step, fiber, operation, object, value, source
// line, one column per fiber so that the interleaving is seen at a glance.
#pragma once

#include <string>

#include "core/base/build.h"
#include "core/sync/modelled/execution.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// "core/sync/rw_sem.cc:57", or "" for an unknown place.
[[nodiscard]] std::string ShortForm(SourceLoc where);

/// The last run of `execution` as a table, with its violation below if there is one. Every line
/// ends with a newline.
[[nodiscard]] std::string FormatRun(const Execution& execution);

}  // namespace faultline

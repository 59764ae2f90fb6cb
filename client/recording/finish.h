// SPDX-License-Identifier: Apache-2.0
//
// The last steps of an import, the same for all tracers: what the end of the text says, order,
// times from 0, maps, marks.
#pragma once

#include "absl/status/status.h"

#include "client/recording/import.h"
#include "client/recording/line_reader.h"
#include "client/recording/recording.h"

namespace faultline::client {

/// Whether the text that was read to its end is a whole one: `account` is asked about an end in the
/// middle of a line, about one without operations, and about one where processes still lived. The
/// lines' own error if they could not be read on.
[[nodiscard]] absl::Status CheckTextEnd(const LineReader& lines, const Recording& recording,
                                        bool all_exited, LossAccount& account);

/// Puts operations into the order of their effects. Those of a thread that have the same effect
/// time stay as they are.
void SortByEffect(Recording& recording);

/// Makes times count from the first one, fills in what `options` know, places their maps, and takes
/// the marks; then all invariants hold, or it is an error of the options.
[[nodiscard]] absl::Status FinishImport(const ImportOptions& options, LossAccount& account,
                                        Recording& recording);

}  // namespace faultline::client

// SPDX-License-Identifier: Apache-2.0
//
// Compiled once per flavour of the core for flavours_test.cc: says from inside what it was built
// as.

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool ProbeIsModelled();
CheckHandler ProbeSetHandler(CheckHandler handler);

bool ProbeIsModelled() { return kModelled; }
CheckHandler ProbeSetHandler(CheckHandler handler) { return SetCheckHandler(handler); }

}  // namespace faultline

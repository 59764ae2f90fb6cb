// SPDX-License-Identifier: Apache-2.0
//
// Recordings out of random numbers: any that CheckRecording accepts may come, so extremes are as
// likely as what programs do. Shrinks to fewer of everything, since each element is drawn from a
// few numbers of its own and none are as good as many.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "client/recording/recording.h"

namespace faultline::client {

/// What it is made of: numbers for each table.
struct RecordingSeed {
  std::vector<uint64_t> files;
  std::vector<uint64_t> threads;
  std::vector<uint64_t> images;
  std::vector<uint64_t> operations;
  std::vector<uint64_t> marks;
};

/// Keeps all invariants.
[[nodiscard]] Recording RecordingFrom(const RecordingSeed& seed);

/// As the writer writes it.
[[nodiscard]] std::string BytesOf(const Recording& recording);

}  // namespace faultline::client

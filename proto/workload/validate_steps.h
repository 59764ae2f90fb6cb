// SPDX-License-Identifier: Apache-2.0
//
// The rules of an actor's steps; used by validate.cc alone.
//
// One StepChecker looks at the setup and then the loop of an actor, since the limit of steps is for
// both together. Nothing is changed and nothing remembered but their number.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include <google/protobuf/repeated_ptr_field.h>

#include "faultline/v1/workload.pb.h"
#include "proto/columns/error_detail.h"
#include "proto/workload/operation.h"
#include "proto/workload/validate_path.h"

namespace faultline::workload {

inline constexpr uint64_t kMaxLength = uint64_t{1} << 40;
inline constexpr std::string_view kLengthAllowed = "a multiple of 4096, 4096 to 2^40";

/// The length of a region, or of what is mapped somewhere.
[[nodiscard]] constexpr bool IsLength(uint64_t length) {
  return length != 0 && length <= kMaxLength && length % kPageBytes == 0;
}

/// Which files may be named.
enum class FilesOf : uint8_t {
  kAll,     ///< those that all threads have
  kThread,  ///< those of the thread, too
};
/// A file of that name exists, or the name is empty.
[[nodiscard]] bool IsFile(const v1::Workload& workload, const std::string& name, FilesOf which);

/// Whether the workload has an mm that threads share.
enum class SharedMm : uint8_t { kNone, kThere };

class StepChecker {
 public:
  /// For the steps of an actor with that many threads.
  StepChecker(const v1::Workload& workload, uint32_t threads, SharedMm shared_mm);

  /// The first problem of `steps`, which are the field `field` of what `path` names.
  columns::MaybeProblem Check(const Path& path, std::string_view field,
                              const google::protobuf::RepeatedPtrField<v1::Step>& steps);

 private:
  using MaybeProblem = columns::MaybeProblem;

  MaybeProblem CheckStep(const Path& path, const v1::Step& step);
  MaybeProblem CheckTouch(const Path& path, const v1::TouchStep& touch) const;
  MaybeProblem CheckMap(const Path& path, const v1::MapStep& map) const;
  MaybeProblem CheckRemap(const Path& path, const v1::RemapStep& remap) const;
  MaybeProblem CheckFork(const Path& path, const v1::ForkStep& fork);
  MaybeProblem CheckRepeat(const Path& path, const v1::RepeatStep& repeat);
  MaybeProblem CheckObserve(const Path& path, const v1::ObserveStep& observe) const;
  MaybeProblem CheckNested(const Path& path, std::string_view field,
                           const google::protobuf::RepeatedPtrField<v1::Step>& steps);
  MaybeProblem CheckSpan(const Path& path, const v1::Span& span) const;
  /// How many bytes every thread has at least in which the span lies; the region is there.
  [[nodiscard]] uint64_t WholeOf(const v1::Span& span) const;
  /// How many bytes the span has at least; it has no problem.
  [[nodiscard]] uint64_t LengthOf(const v1::Span& span) const;

  const v1::Workload& workload_;
  const uint32_t threads_;
  const SharedMm shared_mm_;
  std::unordered_map<std::string, uint64_t> region_lengths_;
  int steps_ = 0;
  int depth_ = 0;
};

}  // namespace faultline::workload

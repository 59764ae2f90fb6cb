// SPDX-License-Identifier: Apache-2.0
//
// Observers; see lab_observe.h. The core reads VMAs with mmap_lock held for the whole reading and
// in no other way yet: maps in that mode are what it can do, and everything else is refused.
#include "server/lab_observe.h"

#include <string>

#include <google/protobuf/repeated_ptr_field.h>

namespace faultline::server {
namespace {

using google::protobuf::RepeatedPtrField;

bool CanRead(const v1::ObserveStep& observe) {
  return (observe.file() == v1::OBSERVED_FILE_UNSPECIFIED ||
          observe.file() == v1::OBSERVED_FILE_MAPS) &&
         (observe.mode() == v1::READ_MODE_UNSPECIFIED ||
          observe.mode() == v1::READ_MODE_WHOLE_LOCK);
}

MaybeRefusal CheckSteps(const RepeatedPtrField<v1::Step>& steps, const std::string& path) {
  for (int i = 0; i < steps.size(); ++i) {
    const v1::Step& step = steps[i];
    const std::string at = path + "[" + std::to_string(i) + "]";
    MaybeRefusal refusal;
    if (step.has_repeat()) refusal = CheckSteps(step.repeat().steps(), at + ".repeat.steps");
    if (step.has_fork()) refusal = CheckSteps(step.fork().child(), at + ".fork.child");
    if (step.has_observe() && !CanRead(step.observe())) {
      refusal = Refusal{.reason = v1::ERROR_REASON_NOT_SUPPORTED,
                        .field = at + ".observe",
                        .allowed = "maps with READ_MODE_WHOLE_LOCK"};
    }
    if (refusal) return refusal;
  }
  return {};
}

}  // namespace

MaybeRefusal WhyCannotObserve(const v1::Workload& workload, std::string_view path) {
  for (int i = 0; i < workload.actors_size(); ++i) {
    const std::string at = std::string(path) + ".actors[" + std::to_string(i) + "]";
    if (auto refusal = CheckSteps(workload.actors(i).setup(), at + ".setup")) return refusal;
    if (auto refusal = CheckSteps(workload.actors(i).loop(), at + ".loop")) return refusal;
  }
  return {};
}

Result<void> ReadToTheEnd(Mm& mm, v1::ObservedFile /*file*/, v1::ReadMode /*mode*/) {
  uint64_t vmas = 0;
  mm.ForEachVma([&vmas](const MapsLine& /*line*/) { ++vmas; });
  return {};
}

}  // namespace faultline::server

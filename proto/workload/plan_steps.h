// SPDX-License-Identifier: Apache-2.0
//
// How steps of a workload become steps of a plan; used by Plan alone.
//
// Linux's constants stand here, since the messages have them as numbers and defaults need a name.
// A mapping without MAP_SHARED or MAP_PRIVATE is private, and without a file anonymous.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <google/protobuf/repeated_ptr_field.h>

#include "faultline/v1/workload.pb.h"
#include "proto/workload/plan.h"

namespace faultline::workload {

class StepPlanner {
 public:
  StepPlanner(const v1::Workload& workload, std::vector<PlannedStep>& steps,
              std::vector<PlannedSpan>& targets);

  /// Maps that region, and fills it if it is to be. Nothing if it is only room.
  void AddRegion(const v1::Region& region);
  /// The steps of a setup or loop; `cursors` counts what resumes.
  StepRange AddSteps(const google::protobuf::RepeatedPtrField<v1::Step>& steps, uint32_t& cursors);

 private:
  void AddStep(const v1::Step& step, uint32_t& cursors);
  void AddBody(PlannedStep planned, const google::protobuf::RepeatedPtrField<v1::Step>& body,
               uint32_t& cursors);
  [[nodiscard]] PlannedStep Touch(const v1::TouchStep& touch, uint32_t& cursors) const;
  [[nodiscard]] PlannedStep Map(const v1::MapStep& map) const;
  [[nodiscard]] PlannedStep Remap(const v1::RemapStep& remap);
  [[nodiscard]] PlannedStep OnSpan(v1::OperationKind kind, const v1::Span& span) const;
  [[nodiscard]] PlannedSpan SpanOf(const v1::Span& span) const;
  [[nodiscard]] uint32_t FileOf(const std::string& name) const;

  std::map<std::string, uint32_t> regions_;
  std::map<std::string, uint32_t> files_;
  std::vector<PlannedStep>& steps_;
  std::vector<PlannedSpan>& targets_;
};

}  // namespace faultline::workload

// SPDX-License-Identifier: Apache-2.0
//
// Workloads for tests of proto/workload: from text, so that a test reads as a preset does, and
// random ones that are valid.
//
// Random ones have small numbers, so that every operation of a round can be looked at.
#pragma once

#include <rapidcheck.h>

#include <cstdint>
#include <string>
#include <vector>

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "faultline/v1/workload.pb.h"
#include "proto/workload/operation.h"
#include "proto/workload/plan.h"
#include "proto/workload/script.h"
#include "proto/workload/validate.h"

namespace faultline::workload {

inline constexpr WorkloadLimits kLimits{.max_threads = 64, .threads = 3};

inline v1::Workload Parsed(const std::string& text) {
  v1::Workload workload;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &workload));
  return workload;
}

/// One actor that has these steps as its loop, with a shared region "shared" of 16 pages, room
/// "room" of 16 pages for each thread, and files "all" and "own".
inline v1::Workload Looping(const std::string& steps) {
  return Parsed(R"(
      name: "test"
      files { name: "all" size: 65536 }
      files { name: "own" size: 65536 per_thread: true }
      regions { name: "shared" length: 65536 }
      regions { name: "room" length: 65536 sharing: REGION_SHARING_THREAD unmapped: true }
      actors { name: "actor" )" +
                steps + " }");
}

/// All operations of a part.
inline std::vector<Operation> OperationsOf(Script& script, Script::Part part) {
  std::vector<Operation> operations;
  script.Begin(part);
  for (Operation op; script.Next(op);) operations.push_back(op);
  return operations;
}

inline std::vector<Operation> RoundOf(const v1::Workload& workload, uint32_t thread = 0) {
  const Plan plan(workload, kLimits.threads);
  Script script(plan, {.thread = thread, .files = {70, 71}});
  return OperationsOf(script, Script::Part::kLoop);
}

/// What decides whether two operations are the same.
inline std::string Text(const Operation& op) {
  std::string text = std::to_string(static_cast<int>(op.action)) + " " +
                     v1::OperationKind_Name(op.kind) + " " + std::to_string(op.address) + "+" +
                     std::to_string(op.length) + "@" + std::to_string(static_cast<int>(op.base)) +
                     ">" + std::to_string(static_cast<int>(op.result)) +
                     (op.last_of_step ? "." : "");
  for (const uint64_t argument : op.arguments()) text += " " + std::to_string(argument);
  return text;
}

inline std::vector<std::string> Texts(const std::vector<Operation>& operations) {
  std::vector<std::string> texts;
  texts.reserve(operations.size());
  for (const Operation& op : operations) texts.push_back(Text(op));
  return texts;
}

/// A valid span of a region of `pages` pages.
inline void FillSpan(v1::Span& span, const std::string& region, uint64_t pages) {
  span.set_region(region);
  const auto offset = *rc::gen::inRange<uint64_t>(0, pages);
  span.set_offset(offset * kPageBytes);
  span.set_length(*rc::gen::inRange<uint64_t>(0, pages - offset + 1) * kPageBytes);
}

/// A span of one of the regions of AnyWorkload.
inline void FillAnySpan(v1::Span& span) {
  const bool own_part = *rc::gen::arbitrary<bool>();
  // 37 pages for at most 5 threads: at least 7 in a part.
  FillSpan(span, *rc::gen::element<std::string>("shared", "own"), own_part ? 7 : 37);
  span.set_own_part(own_part);
}

inline void FillStep(v1::Step& step, int depth) {
  const auto small = rc::gen::inRange<uint64_t>(0, 50);
  switch (*rc::gen::inRange(0, depth < 3 ? 11 : 9)) {
    case 0:
    case 1: {
      v1::TouchStep& touch = *step.mutable_touch();
      FillAnySpan(*touch.mutable_span());
      touch.set_pages(*small);
      touch.set_stride_pages(*rc::gen::inRange<uint64_t>(0, 6));
      touch.set_order(static_cast<v1::PageOrder>(*rc::gen::inRange(0, 4)));
      touch.set_resume(touch.order() < v1::PAGE_ORDER_RANDOM && *rc::gen::arbitrary<bool>());
      touch.set_access(static_cast<v1::AccessKind>(*rc::gen::inRange(0, 4)));
      touch.set_fault_always(*rc::gen::arbitrary<bool>());
      return;
    }
    case 2: {
      v1::MapStep& map = *step.mutable_map();
      if (*rc::gen::arbitrary<bool>()) {
        FillAnySpan(*map.mutable_span());
      } else {
        map.mutable_span()->set_length(kPageBytes * *rc::gen::inRange<uint64_t>(1, 9));
      }
      map.set_touch(static_cast<v1::AccessKind>(*rc::gen::inRange(0, 3)));
      return;
    }
    case 3:
      if (*rc::gen::arbitrary<bool>()) FillAnySpan(*step.mutable_unmap()->mutable_span());
      step.mutable_unmap();
      return;
    case 4:
      FillAnySpan(*step.mutable_protect()->mutable_span());
      return;
    case 5:
      FillAnySpan(*step.mutable_advise()->mutable_span());
      return;
    case 6:
      step.mutable_brk()->set_by(static_cast<int64_t>(*small) - 25);
      return;
    case 7:
      step.mutable_pause()->set_duration_ns(*small);
      step.mutable_pause()->set_random(*rc::gen::arbitrary<bool>());
      return;
    case 8: {
      v1::RemapStep& remap = *step.mutable_remap();
      FillAnySpan(*remap.mutable_span());
      remap.set_new_length(kPageBytes);
      return;
    }
    case 9:
      step.mutable_repeat()->set_times(*rc::gen::inRange<uint64_t>(1, 4));
      do {
        FillStep(*step.mutable_repeat()->add_steps(), depth + 1);
      } while (*rc::gen::arbitrary<bool>());
      return;
    default:
      while (*rc::gen::arbitrary<bool>()) FillStep(*step.mutable_fork()->add_child(), depth + 1);
      step.mutable_fork();
  }
}

/// A valid workload of two actors, for kLimits.
inline v1::Workload AnyWorkload() {
  v1::Workload workload = Parsed(R"(
      name: "any"
      regions { name: "shared" length: 151552 populated: true }
      regions { name: "own" length: 151552 sharing: REGION_SHARING_THREAD })");
  for (const char* name : {"first", "second"}) {
    v1::Actor& actor = *workload.add_actors();
    actor.set_name(name);
    actor.set_threads(*rc::gen::inRange<uint32_t>(0, 6));
    actor.set_own_mm(*rc::gen::arbitrary<bool>());
    do {
      FillStep(*actor.add_loop(), 0);
    } while (*rc::gen::inRange(0, 4) != 0);
    if (*rc::gen::arbitrary<bool>()) FillStep(*actor.add_setup(), 0);
  }
  return workload;
}

}  // namespace faultline::workload

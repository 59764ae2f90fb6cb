// SPDX-License-Identifier: Apache-2.0
//
// Names of rungs, reasons and kinds, in snake_case.
#include "core/observe/fault_reasons.h"

#include <array>
#include <cstddef>

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(FaultRung::kCount)> kRungs = {
    "validated", "vma_lock", "mmap_lock"};

constexpr std::array<std::string_view, static_cast<size_t>(LeaveReason::kCount)> kReasons = {
    "none",     "kernel_mode", "no_vma",     "write_locked", "contended",      "detached",
    "other_mm", "range_moved", "changed",    "no_anon_vma",  "no_upper_table", "no_table",
    "no_page",  "refused",     "table_gone", "killed"};

constexpr std::array<std::string_view, static_cast<size_t>(FaultKind::kCount)> kKinds = {
    "anon",           "zero_page", "write_protected", "mapping_read", "mapping_cow",
    "mapping_shared", "swap",      "spurious",        "error"};

}  // namespace

std::string_view Name(FaultKind kind) {
  const auto index = static_cast<size_t>(kind);
  MM_CHECK_LT(index, kKinds.size());
  return kKinds[index];
}

std::string_view Name(FaultRung rung) {
  const auto index = static_cast<size_t>(rung);
  MM_CHECK_LT(index, kRungs.size());
  return kRungs[index];
}

std::string_view Name(LeaveReason reason) {
  const auto index = static_cast<size_t>(reason);
  MM_CHECK_LT(index, kReasons.size());
  return kReasons[index];
}

}  // namespace faultline

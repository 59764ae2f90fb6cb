// SPDX-License-Identifier: Apache-2.0
//
// Maps, smaps and smaps_rollup as text, byte for byte what the kernel prints (Linux: show_map_vma,
// show_smap, __show_smap, show_smap_vma_flags and seq_path in fs/proc and fs/seq_file.c).
//
// What a kernel prints depends on how it is configured. This is Linux 6.18 on x86-64 without
// protection keys and soft-dirty bits, so there is no line ProtectionKey and no flag "sd". Lines of
// what the simulation does not have (KSM, huge pages, hugetlb, swap) say 0, and THPeligible is 0,
// as under transparent_hugepage=never.
#pragma once

#include <string>

#include "core/base/build.h"
#include "core/mm/proc_maps.h"
#include "core/mm/proc_smaps.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A line of /proc/PID/maps, newline included.
void AppendMapsLine(const VmaRecord& vma, std::string& text);
/// The paragraph of a VMA in /proc/PID/smaps.
void AppendSmaps(const SmapsRecord& record, std::string& text);
/// All of /proc/PID/smaps_rollup.
void AppendSmapsRollup(const SmapsRollup& rollup, std::string& text);

}  // namespace faultline

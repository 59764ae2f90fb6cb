// SPDX-License-Identifier: Apache-2.0
//
// Machines, files and schemes as messages; see machine_message.h.
#include "server/machine_message.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include <absl/strings/str_cat.h>

#include "core/fault/scheme_table.h"
#include "core/folio/frame_allocator.h"
#include "server/names.h"
#include "server/options.h"

namespace faultline::server {
namespace {

constexpr size_t kMaxDescription = 256;
constexpr size_t kMaxPath = 4095;
constexpr uint64_t kFileSizeEnd = uint64_t{1} << 63;

/// The core's sentence "field: value ...; allowed: ..." about a number.
Refusal OutOfRangeOf(const std::string& path, std::string_view sentence) {
  const auto take_to = [&](std::string_view mark) {
    const std::string_view part = sentence.substr(0, sentence.find(mark));
    sentence.remove_prefix(std::min(sentence.size(), part.size() + mark.size()));
    return part;
  };
  const std::string field = path + "." + std::string(take_to(": "));
  const std::string_view value = take_to(" ");
  (void)take_to("; allowed: ");
  return OutOfRange(field, value, sentence);
}

OrRefusal<uint64_t> TakeMemory(uint64_t bytes, const Limits& limits, const std::string& field) {
  const uint64_t most = std::min(limits.max_machine_memory_bytes, MachineOptions::kMostMemory);
  if (bytes >= MachineOptions::kLeastMemory && bytes <= most && IsPageAligned(bytes)) return bytes;
  return OutOfRange(
      field, bytes,
      absl::StrCat("multiples of 4096 from ", MachineOptions::kLeastMemory, " to ", most));
}

OrRefusal<uint32_t> TakeCpus(uint32_t cpus, const Limits& limits, const std::string& field) {
  const uint64_t most = std::min<uint64_t>(limits.max_cpus, FrameAllocator::kMaxCpus);
  if (cpus >= 1 && cpus <= most) return cpus;
  return OutOfRange(field, cpus, absl::StrCat("1 to ", most));
}

}  // namespace

// --- From messages -------------------------------------------------------------------------------

OrRefusal<MachineOptions> ToCore(const v1::Machine& machine, const Limits& limits,
                                 const std::string& path) {
  MachineOptions core;
  if (machine.memory_bytes() != 0) {
    OrRefusal<uint64_t> memory = TakeMemory(machine.memory_bytes(), limits, path + ".memory_bytes");
    if (!memory.ok()) return std::move(memory.refusal());
    core.memory_bytes = *memory;
  }
  if (machine.cpus() != 0) {
    OrRefusal<uint32_t> cpus = TakeCpus(machine.cpus(), limits, path + ".cpus");
    if (!cpus.ok()) return std::move(cpus.refusal());
    core.cpus = *cpus;
  }
  OrRefusal<PageContents> contents = ToCore(machine.contents(), path + ".contents");
  if (!contents.ok()) return std::move(contents.refusal());
  core.contents = *contents;
  const uint64_t frames = (core.memory_bytes >> kPageShift) - 1;  // but for the zero page
  OrRefusal<WatermarkOptions> marks =
      Changed(core.watermarks(), machine.tunables(), frames, path + ".tunables");
  if (!marks.ok()) return std::move(marks.refusal());
  core.min_free_frames = marks->min_free_frames;
  core.watermark_scale = marks->watermark_scale;
  if (auto refusal = CheckDescription(machine.description(), path)) return *std::move(refusal);
  return core;
}

OrRefusal<WatermarkOptions> Changed(const WatermarkOptions& now, const v1::Tunables& changes,
                                    uint64_t frames, const std::string& path) {
  WatermarkOptions changed = now;
  if (changes.has_min_free_frames()) changed.min_free_frames = changes.min_free_frames();
  if (changes.has_watermark_scale()) changed.watermark_scale = changes.watermark_scale();
  if (const auto why = WhyRefused(changed, frames)) return OutOfRangeOf(path, *why);
  return changed;
}

MaybeRefusal CheckDescription(const std::string& description, const std::string& path) {
  if (description.size() <= kMaxDescription) return {};
  return OutOfRange(path + ".description", description,
                    absl::StrCat("at most ", kMaxDescription, " bytes"));
}

MaybeRefusal Check(const v1::File& file, const std::string& path) {
  if (file.path().size() > kMaxPath || file.path().find('\0') != std::string::npos) {
    return OutOfRange(path + ".path", file.path(),
                      absl::StrCat("0 to ", kMaxPath, " bytes without a zero byte"));
  }
  if (file.size() >= kFileSizeEnd) {
    return OutOfRange(path + ".size", file.size(), absl::StrCat("0 to ", kFileSizeEnd - 1));
  }
  return {};
}

// --- To messages ---------------------------------------------------------------------------------

void ToProto(absl::Time time, google::protobuf::Timestamp& out) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  const absl::Duration rest = time - absl::FromUnixSeconds(seconds);
  out.set_seconds(seconds);
  out.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

void ToProto(MachineEntry& machine, v1::Machine& out) {
  const MachineEntry::Options& options = machine.options();
  out.set_name(MachineName(machine.id()));
  out.set_memory_bytes(options.machine.memory_bytes);
  out.set_cpus(options.machine.cpus);
  out.set_contents(ToProto(options.machine.contents));
  ToProto(machine.machine().frames().watermark_options(), *out.mutable_tunables());
  out.set_description(options.description);
  ToProto(options.create_time, *out.mutable_create_time());
  out.set_mm_count(machine.mm_count());
}

void ToProto(const WatermarkOptions& options, v1::Tunables& out) {
  out.set_min_free_frames(options.min_free_frames);
  out.set_watermark_scale(options.watermark_scale);
}

void ToProto(const MachineEntry& machine, const MachineEntry::File& file, v1::File& out) {
  const Mapping& mapping = file.ref.mapping();
  out.set_name(FileName(machine.id(), file.number));
  out.set_path(mapping.name());
  out.set_size(file.bytes);
  out.set_inode(mapping.inode());
  out.set_resident_pages(mapping.resident_pages());
}

void ToProto(const Limits& limits, v1::Limits& out) {
  out.set_max_machines(limits.max_machines);
  out.set_max_machine_memory_bytes(limits.max_machine_memory_bytes);
  out.set_max_memory_bytes(limits.max_memory_bytes);
  out.set_max_cpus(static_cast<uint32_t>(limits.max_cpus));
  out.set_max_mms(limits.max_mms);
  out.set_max_files(limits.max_files);
  out.set_max_map_count(limits.max_map_count);
  out.set_max_threads(limits.max_threads);
  out.set_max_message_bytes(limits.max_message_bytes);
  out.set_max_batch_operations(static_cast<uint32_t>(limits.max_batch_operations));
  out.set_max_batches_in_flight(static_cast<uint32_t>(limits.max_batches_in_flight));
  out.set_max_page_size(static_cast<uint32_t>(limits.max_page_size));
  out.set_max_event_ring(static_cast<uint32_t>(limits.max_event_ring));
  out.set_max_lab_runs(static_cast<uint32_t>(limits.max_lab_runs));
}

void ToProto(SchemeName scheme, v1::SchemeInfo& out) {
  const FaultOptions defaults = DefaultsOf(scheme);
  ToProto(defaults, *out.mutable_defaults());
  out.set_scheme(out.defaults().scheme());
  out.set_name(std::string(Name(scheme)));
  FaultOptions option = defaults;
  option.depth_known = true;  // which allows more and forbids nothing
  for (size_t i = 0; i < static_cast<size_t>(TableAlloc::kCount); ++i) {
    option.pgtable_alloc = static_cast<TableAlloc>(i);
    if (IsAllowed(option)) out.add_allowed_allocs(ToProto(option.pgtable_alloc));
  }
  option = defaults;
  option.spf_wire_tables = true;
  out.set_allows_wire_tables(IsAllowed(option));
  const FaultRungSet rungs = RungsOf(scheme);
  for (size_t i = 0; i < static_cast<size_t>(FaultRung::kCount); ++i) {
    const auto rung = static_cast<FaultRung>(i);
    if (rungs.Has(rung)) out.add_rungs(ToProto(rung));
  }
}

}  // namespace faultline::server

// SPDX-License-Identifier: Apache-2.0
//
// VMAs as messages; see maps_message.h. What a VMA maps is known by the address of its cache, which
// may be another file's by the time it is looked up: the inode, which is never used again, tells.
#include "server/maps_message.h"

#include <cstdint>
#include <optional>

#include "core/pagecache/mapping.h"
#include "server/names.h"
#include "server/options.h"

namespace faultline::server {

void ToProto(const VmaRecord& vma, const MachineEntry& machine, v1::VmaInfo& out) {
  out.set_start(vma.range.start().value());
  out.set_end(vma.range.end().value());
  out.set_vma_flags(vma.flags);
  out.set_offset(vma.offset);
  out.set_device_major(vma.device.major);
  out.set_device_minor(vma.device.minor);
  out.set_inode(vma.inode);
  out.set_path(vma.path);
  if (vma.mapping == nullptr) return;
  const uint64_t number = machine.NumberOf(vma.mapping);
  if (number == 0) return;
  const std::optional<FileRef> file = machine.FileOf(number);
  if (file.has_value() && file->mapping().inode() == vma.inode) {
    out.set_file(FileName(machine.id(), number));
  }
}

void ToProto(const Residency& residency, v1::ResidencyInfo& out) {
  out.set_rss(residency.rss);
  out.set_pss(residency.pss.bytes());
  out.set_pss_dirty(residency.pss_dirty.bytes());
  out.set_pss_anon(residency.pss_anon.bytes());
  out.set_pss_file(residency.pss_file.bytes());
  out.set_pss_shmem(residency.pss_shmem.bytes());
  out.set_shared_clean(residency.shared_clean);
  out.set_shared_dirty(residency.shared_dirty);
  out.set_private_clean(residency.private_clean);
  out.set_private_dirty(residency.private_dirty);
  out.set_referenced(residency.referenced);
  out.set_anonymous(residency.anonymous);
  out.set_lazy_free(residency.lazy_free);
  out.set_locked(residency.locked.bytes());
}

OrRefusal<ReadMode> ToCore(v1::ReadMode mode, std::string_view field) {
  return Chosen(mode, field, ReadMode::kWholeLock);
}

OrRefusal<v1::MapsFormat> FormatOf(v1::MapsFormat format, std::string_view field) {
  switch (format) {
    case v1::MAPS_FORMAT_UNSPECIFIED:
    case v1::MAPS_FORMAT_STRUCTURED:
      return v1::MAPS_FORMAT_STRUCTURED;
    case v1::MAPS_FORMAT_TEXT:
      return v1::MAPS_FORMAT_TEXT;
    default:
      return UnknownEnumValue(field, static_cast<int>(format),
                              "MAPS_FORMAT_UNSPECIFIED = 0, MAPS_FORMAT_STRUCTURED = 1, "
                              "MAPS_FORMAT_TEXT = 2");
  }
}

}  // namespace faultline::server

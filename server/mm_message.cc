// SPDX-License-Identifier: Apache-2.0
//
// Mms as messages; see mm_message.h.
#include "server/mm_message.h"

#include <utility>

#include "server/names.h"
#include "server/options.h"

namespace faultline::server {
namespace {

constexpr size_t kMaxDescription = 256;

}  // namespace

void ToProto(const MmUse& use, v1::Mm& out) {
  const MmEntry& entry = use.entry();
  out.set_name(entry.name());
  ToProto(use.mm().options(), *out.mutable_options());
  out.set_description(entry.options().description);
  if (entry.options().parent_number != 0) {
    out.set_parent_mm(MmName(entry.machine().id(), entry.options().parent_number));
  }
  out.set_map_count(use.mm().map_count());
  out.set_brk(use.mm().brk().value());
  out.set_thread_count(entry.thread_count());
  out.set_exiting(entry.exiting());
  out.set_exits_with_threads(entry.exits_with_threads());
}

OrRefusal<MmUse> CreateMm(MachineEntry& machine, const v1::Mm& mm, MmLife life,
                          const std::string& path) {
  if (mm.description().size() > kMaxDescription) {
    return OutOfRange(path + ".description", mm.description(),
                      "at most " + std::to_string(kMaxDescription) + " bytes");
  }
  OrRefusal<MmOptions> options = ToCore(mm.options(), machine.limits(), path + ".options");
  if (!options.ok()) return std::move(options.refusal());
  return machine.CreateMm(
      *options, {.number = 0, .description = mm.description(), .parent_number = 0, .life = life});
}

}  // namespace faultline::server

// SPDX-License-Identifier: Apache-2.0
//
// The API's choices and the core's; see options.h.
#include "server/options.h"

#include <bit>
#include <optional>
#include <utility>

#include <absl/strings/str_cat.h>

namespace faultline::server {
namespace {

/// Sets `out` unless the request left it open.
template <class Api, class Core>
MaybeRefusal Choose(Api api, const std::string& field, Core& out) {
  OrRefusal<Core> chosen = Chosen(api, field, out);
  if (!chosen.ok()) return std::move(chosen.refusal());
  out = *chosen;
  return {};
}

/// The core's sentence "field: value ...; allowed for X: ..." as a refusal.
Refusal RefusedCombination(const std::string& path, const std::string& sentence) {
  const size_t colon = sentence.find(": ");
  const std::string field = sentence.substr(0, colon);
  std::string rest = colon == std::string::npos ? "" : sentence.substr(colon + 2);
  return {.reason = v1::ERROR_REASON_REFUSED_COMBINATION,
          .field = path + "." + field,
          .value = rest.substr(0, rest.find(' ')),
          .allowed = std::move(rest)};
}

/// Takes numbers of MmOptions one by one and keeps the first refusal.
class Taker {
 public:
  explicit Taker(const std::string& path) : path_(path) {}

  struct Rule {
    const char* field;
    uint64_t min = 0;
    uint64_t max = UINT64_MAX;
    uint64_t multiple_of = 1;
  };
  /// `value` if it obeys the rule. The range is printed in hexadecimal where it is of addresses.
  [[nodiscard]] uint64_t Take(uint64_t value, const Rule& rule) {
    if (value >= rule.min && value <= rule.max && value % rule.multiple_of == 0) return value;
    std::string allowed = absl::StrCat(rule.min, " to ", rule.max);
    if (rule.multiple_of != 1) absl::StrAppend(&allowed, ", a multiple of ", rule.multiple_of);
    Refuse(rule.field, value, allowed);
    return value;
  }
  void Refuse(const char* field, uint64_t value, const std::string& allowed) {
    if (!refusal_) refusal_ = OutOfRange(absl::StrCat(path_, ".", field), value, allowed);
  }
  [[nodiscard]] MaybeRefusal& refusal() { return refusal_; }

 private:
  const std::string& path_;
  MaybeRefusal refusal_;
};

/// The end of user space with that many levels of tables.
uint64_t TaskSize(uint32_t levels) { return (uint64_t{1} << (levels == 5 ? 56 : 47)) - kPageSize; }

void TakeGeometry(const v1::MmOptions& in, const Limits& limits, Taker& take, MmOptions& out) {
  if (in.has_page_table_levels()) {
    out.page_table_levels = static_cast<uint32_t>(
        take.Take(in.page_table_levels(), {.field = "page_table_levels", .min = 4, .max = 5}));
  }
  const uint64_t end = TaskSize(out.page_table_levels);
  const auto address = [&](const char* field, uint64_t multiple) {
    return Taker::Rule{.field = field, .min = 0, .max = end, .multiple_of = multiple};
  };
  if (in.has_max_map_count()) {
    out.max_map_count = take.Take(
        in.max_map_count(), {.field = "max_map_count", .min = 1, .max = limits.max_map_count});
  }
  if (in.has_mmap_min_addr()) {
    out.mmap_min_addr = take.Take(in.mmap_min_addr(), address("mmap_min_addr", 1));
  }
  if (in.has_dac_mmap_min_addr()) {
    out.dac_mmap_min_addr = take.Take(in.dac_mmap_min_addr(), address("dac_mmap_min_addr", 1));
  }
  if (in.has_mmap_base()) {
    out.mmap_base = VirtAddr(take.Take(in.mmap_base(), address("mmap_base", kPageSize)));
  }
  if (in.has_start_stack()) {
    out.start_stack = VirtAddr(take.Take(in.start_stack(), address("start_stack", 1)));
  }
  if (in.has_start_brk()) {
    out.start_brk = VirtAddr(take.Take(in.start_brk(), address("start_brk", kPageSize)));
  }
}

void TakeRules(const v1::MmOptions& in, Taker& take, MmOptions& out) {
  constexpr uint64_t kMaxGuardGap = (uint64_t{1} << 40) - kPageSize;
  constexpr uint64_t kMaxBaseOffset = (uint64_t{1} << 47) - kPageSize;
  constexpr uint64_t kMaxFaultAround = uint64_t{2} << 20;
  if (in.has_stack_guard_gap()) {
    out.stack_guard_gap = take.Take(
        in.stack_guard_gap(),
        {.field = "stack_guard_gap", .min = 0, .max = kMaxGuardGap, .multiple_of = kPageSize});
  }
  if (in.has_legacy_base_offset()) {
    out.legacy_base_offset = take.Take(
        in.legacy_base_offset(),
        {.field = "legacy_base_offset", .min = 0, .max = kMaxBaseOffset, .multiple_of = kPageSize});
  }
  if (in.has_fault_around_bytes()) {
    out.fault_around_bytes = in.fault_around_bytes();
    if (!std::has_single_bit(out.fault_around_bytes) || out.fault_around_bytes < kPageSize ||
        out.fault_around_bytes > kMaxFaultAround) {
      take.Refuse("fault_around_bytes", out.fault_around_bytes,
                  "a power of two from 4096 to 2097152");
    }
  }
  if (in.has_commit_limit_pages()) out.commit_limit_pages = in.commit_limit_pages();
  if (in.has_rlimit_as()) out.rlimit_as = in.rlimit_as();
  if (in.has_rlimit_data()) out.rlimit_data = in.rlimit_data();
  if (in.has_rlimit_stack()) out.rlimit_stack = in.rlimit_stack();
  if (in.has_rlimit_memlock()) out.rlimit_memlock = in.rlimit_memlock();
  if (in.has_can_ipc_lock()) out.can_ipc_lock = in.can_ipc_lock();
  if (in.has_can_raw_io()) out.can_raw_io = in.can_raw_io();
  if (in.has_thp_alignment()) out.thp_alignment = in.thp_alignment();
}

}  // namespace

OrRefusal<FaultOptions> ToCore(const v1::FaultOptions& options, const std::string& path) {
  SchemeName scheme = SchemeName::kMmapLock;
  if (auto refusal = Choose(options.scheme(), path + ".scheme", scheme)) return *refusal;
  FaultOptions core = DefaultsOf(scheme);
  if (auto refusal = Choose(options.pgtable_alloc(), path + ".pgtable_alloc", core.pgtable_alloc)) {
    return *refusal;
  }
  if (auto refusal = Choose(options.pte_table(), path + ".pte_table", core.pte_table)) {
    return *refusal;
  }
  if (auto refusal = Choose(options.pgtable_free(), path + ".pgtable_free", core.pgtable_free)) {
    return *refusal;
  }
  if (auto refusal = Choose(options.guard(), path + ".guard", core.guard)) return *refusal;
  core.spf_wire_tables = options.spf_wire_tables();
  core.depth_known = options.depth_known();
  if (const auto why = WhyRefused(core)) return RefusedCombination(path, *why);
  return core;
}

OrRefusal<MmOptions> ToCore(const v1::MmOptions& options, const Limits& limits,
                            const std::string& path) {
  MmOptions core;
  OrRefusal<FaultOptions> fault = ToCore(options.fault(), path + ".fault");
  if (!fault.ok()) return std::move(fault.refusal());
  core.fault = *fault;
  Taker take(path);
  TakeGeometry(options, limits, take, core);
  TakeRules(options, take, core);
  if (take.refusal()) return *std::move(take.refusal());
  if (const auto why = WhyRefused(core)) return RefusedCombination(path, *why);
  return core;
}

void ToProto(const FaultOptions& options, v1::FaultOptions& out) {
  out.set_scheme(ToApi<v1::Scheme>(options.scheme));
  out.set_pgtable_alloc(ToApi<v1::TableAlloc>(options.pgtable_alloc));
  out.set_pte_table(ToApi<v1::PteTable>(options.pte_table));
  out.set_pgtable_free(ToApi<v1::TableFree>(options.pgtable_free));
  out.set_guard(ToApi<v1::FaultGuard>(options.guard));
  out.set_spf_wire_tables(options.spf_wire_tables);
  out.set_depth_known(options.depth_known);
}

void ToProto(const MmOptions& options, v1::MmOptions& out) {
  ToProto(options.fault, *out.mutable_fault());
  out.set_page_table_levels(options.page_table_levels);
  out.set_max_map_count(options.max_map_count);
  out.set_mmap_min_addr(options.mmap_min_addr);
  out.set_dac_mmap_min_addr(options.dac_mmap_min_addr);
  out.set_stack_guard_gap(options.stack_guard_gap);
  out.set_fault_around_bytes(options.fault_around_bytes);
  out.set_mmap_base(options.mmap_base.value());
  out.set_legacy_base_offset(options.legacy_base_offset);
  out.set_start_brk(options.start_brk.value());
  out.set_commit_limit_pages(options.commit_limit_pages);
  out.set_rlimit_as(options.rlimit_as);
  out.set_rlimit_data(options.rlimit_data);
  out.set_rlimit_stack(options.rlimit_stack);
  out.set_rlimit_memlock(options.rlimit_memlock);
  out.set_can_ipc_lock(options.can_ipc_lock);
  out.set_can_raw_io(options.can_raw_io);
  out.set_thp_alignment(options.thp_alignment);
  out.set_start_stack(options.start_stack.value());
}

OrRefusal<AccessKind> ToCore(v1::AccessKind access, std::string_view field) {
  return Chosen(access, field, AccessKind::kRead);
}
OrRefusal<FaultMode> ToCore(v1::FaultMode mode, std::string_view field) {
  return Chosen(mode, field, FaultMode::kUser);
}
OrRefusal<PageContents> ToCore(v1::PageContents contents, std::string_view field) {
  return Chosen(contents, field, PageContents::kTag);
}
OrRefusal<FailSite> ToCore(v1::FailSite site, std::string_view field) {
  if (const auto core = FromApi<FailSite>(site)) return *core;
  return UnknownEnumValue(field, static_cast<int>(site), ValuesOf<v1::FailSite>(1));
}

v1::AccessKind ToProto(AccessKind access) { return ToApi<v1::AccessKind>(access); }
v1::PageContents ToProto(PageContents contents) { return ToApi<v1::PageContents>(contents); }
v1::TableAlloc ToProto(TableAlloc alloc) { return ToApi<v1::TableAlloc>(alloc); }

void ToProto(const AccessOutcome& outcome, v1::AccessResult& out) {
  if (outcome.ok()) return;
  out.set_signal(static_cast<uint32_t>(outcome.signal));
  out.set_code(static_cast<uint32_t>(outcome.code));
  out.set_address(outcome.address.value());
}

v1::FaultRung ToProto(FaultRung rung) { return ToApi<v1::FaultRung>(rung); }
v1::LeaveReason ToProto(LeaveReason reason) { return ToApi<v1::LeaveReason>(reason); }
v1::Activity ToProto(Activity activity) { return ToApi<v1::Activity>(activity); }

v1::LockRank ToProto(LockRank rank) {
  // What is behind these is for tests of the sync layer, or none.
  return rank > LockRank::kWaitQueue ? v1::LOCK_RANK_UNSPECIFIED : ToApi<v1::LockRank>(rank);
}

}  // namespace faultline::server

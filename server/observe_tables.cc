// SPDX-License-Identifier: Apache-2.0
//
// Pagemap and page tables; see observe_service.h. Tokens of both name the range, too, so that one
// of another request is refused.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <absl/strings/str_cat.h>

#include "core/mm/proc_pagemap.h"
#include "core/mm/table_dump.h"
#include "server/api_enums.h"
#include "server/observe_service.h"
#include "server/options.h"
#include "server/page_token.h"

namespace faultline::server {
namespace {

constexpr size_t kPagesByDefault = 1000;
constexpr size_t kTablesByDefault = 100;
constexpr uint64_t kReplyBytes = 64 * Limits::kKib;

/// [address, address + length), with 0 for "to the end", as far as it is user space.
VirtRange RangeOf(const Mm& mm, uint64_t address, uint64_t length) {
  const VirtAddr space = mm.task_size();
  const VirtAddr start = std::min(VirtAddr(address), space);
  if (length == 0 || length > space - start) return {start, space};
  return {start, start + length};
}

template <class Request>
std::string ListOf(const char* method, const Request& request) {
  return absl::StrCat(method, " ", request.mm(), " ", request.address(), " ", request.length());
}

MaybeRefusal CheckPages(const v1::ReadPagemapRequest& request) {
  constexpr const char* kAllowed = "a multiple of 4096";
  if (!IsPageAligned(request.address())) {
    return OutOfRange("address", request.address(), kAllowed);
  }
  if (!IsPageAligned(request.length())) return OutOfRange("length", request.length(), kAllowed);
  return {};
}

void FillTable(const TableRecord& table, v1::PageTable& out) {
  out.set_level(ToApi<v1::TableLevel>(table.level));
  out.set_address(table.address.value());
  out.set_frame(table.frame.value());
  out.mutable_entry_indexes()->Add(table.indexes.begin(), table.indexes.end());
  out.mutable_entry_values()->Reserve(static_cast<int>(table.entries.size()));
  for (const Entry entry : table.entries) out.add_entry_values(entry.raw());
}

/// A place as one number: tables begin at multiples of 2 MiB.
uint64_t Packed(const TablePlace& place) {
  return place.address.value() | static_cast<uint64_t>(place.level);
}
TablePlace PlaceOf(uint64_t packed) {
  return {.address = VirtAddr(PageAlignDown(packed)),
          .level = static_cast<TableLevel>(packed & (kPageSize - 1))};
}

/// Adds the tables that a message has room for, and says where the next page begins.
std::optional<TablePlace> AddWhatFits(const TableDump& dump, const Limits& limits,
                                      v1::DumpPageTablesResponse& response) {
  constexpr uint64_t kTableBytes = 64;
  constexpr uint64_t kEntryBytes = 10;
  uint64_t room = limits.max_message_bytes - kReplyBytes;
  for (const TableRecord& table : dump.tables) {
    const uint64_t bytes = kTableBytes + table.entries.size() * kEntryBytes;
    if (bytes > room && response.tables_size() > 0) {
      return TablePlace{.address = table.address, .level = table.level};
    }
    room -= std::min(room, bytes);
    FillTable(table, *response.add_tables());
  }
  return dump.next;
}

}  // namespace

ObserveService::Reactor* ObserveService::ReadPagemap(Context* context,
                                                     const v1::ReadPagemapRequest* request,
                                                     v1::ReadPagemapResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    OrRefusal<MmUse> mm = registry().UseMm(request->mm(), "mm");
    if (!mm.ok()) return std::move(mm.refusal());
    if (MaybeRefusal refusal = CheckPages(*request)) return refusal;
    const std::string list = ListOf("ReadPagemap", *request);
    OrRefusal<uint64_t> from = PageNumber(epoch(), list, request->page_token());
    if (!from.ok()) return std::move(from.refusal());
    VirtRange range = RangeOf(mm->mm(), request->address(), request->length());
    if (!request->page_token().empty()) range = {VirtAddr(*from), range.end()};
    const MmCall killable(mm->mm());
    const Result<PagemapPage> page = faultline::ReadPagemap(
        mm->mm(), range, PageSize(request->page_size(), kPagesByDefault, registry().limits()));
    if (!page.ok()) {
      response->set_error(ToProto(page.error()));
      return {};
    }
    for (size_t i = 0; i < page->addresses.size(); ++i) {
      response->add_addresses(page->addresses[i].value());
      response->add_flags(page->flags[i]);
      response->add_words(page->words[i]);
    }
    if (page->next) response->set_next_page_token(PageToken(epoch(), list, page->next->value()));
    return {};
  });
}

ObserveService::Reactor* ObserveService::DumpPageTables(Context* context,
                                                        const v1::DumpPageTablesRequest* request,
                                                        v1::DumpPageTablesResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    OrRefusal<MmUse> mm = registry().UseMm(request->mm(), "mm");
    if (!mm.ok()) return std::move(mm.refusal());
    const std::string list = ListOf("DumpPageTables", *request);
    OrRefusal<uint64_t> from = PageNumber(epoch(), list, request->page_token());
    if (!from.ok()) return std::move(from.refusal());
    const VirtRange range = RangeOf(mm->mm(), request->address(), request->length());
    if (range.empty()) return {};
    const TablePlace place = request->page_token().empty() ? TablePlace() : PlaceOf(*from);
    const MmCall killable(mm->mm());
    const Limits& limits = registry().limits();
    const Result<TableDump> dump = DumpTables(
        mm->mm(), range, place, PageSize(request->page_size(), kTablesByDefault, limits));
    if (!dump.ok()) {
      response->set_error(ToProto(dump.error()));
      return {};
    }
    if (const auto next = AddWhatFits(*dump, limits, *response)) {
      response->set_next_page_token(PageToken(epoch(), list, Packed(*next)));
    }
    return {};
  });
}

}  // namespace faultline::server

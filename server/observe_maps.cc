// SPDX-License-Identifier: Apache-2.0
//
// Maps, smaps, their sums, and questions about one VMA; see observe_service.h. What is read comes
// from core/mm as records and is put into words here.
//
// A page of a reading has to fit into a message: where the next VMA would not, the page ends before
// it, one VMA at least being in it. What was read beyond is read anew by the next page.
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/mm/proc_query.h"
#include "core/mm/proc_text.h"
#include "server/maps_message.h"
#include "server/observe_service.h"
#include "server/options.h"
#include "server/page_token.h"

namespace faultline::server {
namespace {

constexpr size_t kMapsByDefault = 1000;
constexpr size_t kSmapsByDefault = 100;

/// More than the fields of a VMA without its path take, in either form.
constexpr uint64_t kMapsBytes = 192;
constexpr uint64_t kSmapsBytes = 1024;
/// For the rest of a reply.
constexpr uint64_t kReplyBytes = 64 * Limits::kKib;

/// What there is room for.
class Room {
 public:
  Room(const Limits& limits, uint64_t bytes_each)
      : bytes_(limits.max_message_bytes - kReplyBytes), bytes_each_(bytes_each) {}
  /// Whether one more fits; the first one does.
  [[nodiscard]] bool Take(const VmaRecord& vma) {
    constexpr uint64_t kLongestEscape = 4;
    used_ += bytes_each_ + vma.path.size() * kLongestEscape;
    return std::exchange(is_first_, false) || used_ <= bytes_;
  }

 private:
  const uint64_t bytes_;
  const uint64_t bytes_each_;
  uint64_t used_ = 0;
  bool is_first_ = true;
};

/// Calls add(record) for those that fit, and says where the next page begins. vma_of(record) is its
/// VMA.
template <class Page, class VmaOf, class AddOne>
std::optional<VirtAddr> AddWhatFits(const Page& page, Room room, const VmaOf& vma_of,
                                    const AddOne& add) {
  for (size_t i = 0; i < page.vmas.size(); ++i) {
    const VmaRecord& vma = std::invoke(vma_of, page.vmas[i]);
    if (!room.Take(vma)) return std::invoke(vma_of, page.vmas[i - 1]).range.end();
    add(page.vmas[i]);
  }
  return page.next;
}

/// What requests for a page of a reading have in common, checked.
struct Reading {
  MmUse mm;
  ReadMode mode = ReadMode::kWholeLock;
  v1::MapsFormat format = v1::MAPS_FORMAT_STRUCTURED;
  std::string list;
  VirtAddr from{0};
};

template <class Request>
OrRefusal<Reading> CheckReading(Registry& registry, const char* method, const Request& request) {
  Reading reading;
  OrRefusal<MmUse> mm = registry.UseMm(request.mm(), "mm");
  if (!mm.ok()) return std::move(mm.refusal());
  OrRefusal<ReadMode> mode = ToCore(request.mode(), "mode");
  if (!mode.ok()) return std::move(mode.refusal());
  OrRefusal<v1::MapsFormat> format = FormatOf(request.format(), "format");
  if (!format.ok()) return std::move(format.refusal());
  reading.list = std::string(method) + " " + request.mm();
  OrRefusal<uint64_t> from = PageNumber(registry.epoch(), reading.list, request.page_token());
  if (!from.ok()) return std::move(from.refusal());
  reading.mm = *std::move(mm);
  reading.mode = *mode;
  reading.format = *format;
  reading.from = VirtAddr(*from);
  return reading;
}

}  // namespace

ObserveService::Reactor* ObserveService::ReadMaps(Context* context,
                                                  const v1::ReadMapsRequest* request,
                                                  v1::ReadMapsResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    OrRefusal<Reading> reading = CheckReading(registry(), "ReadMaps", *request);
    if (!reading.ok()) return std::move(reading.refusal());
    const Limits& limits = registry().limits();
    const MmCall killable(reading->mm.mm());
    const Result<MapsPage> page =
        faultline::ReadMaps(reading->mm.mm(), reading->mode, reading->from,
                            PageSize(request->page_size(), kMapsByDefault, limits));
    if (!page.ok()) {
      response->set_error(ToProto(page.error()));
      return {};
    }
    const auto next =
        AddWhatFits(*page, Room(limits, kMapsBytes), std::identity(), [&](const VmaRecord& vma) {
          if (reading->format == v1::MAPS_FORMAT_TEXT) {
            AppendMapsLine(vma, *response->mutable_text());
          } else {
            ToProto(vma, reading->mm->machine(), *response->add_vmas());
          }
        });
    if (next) response->set_next_page_token(PageToken(epoch(), reading->list, next->value()));
    response->set_held_ns(page->held_ns);
    return {};
  });
}

ObserveService::Reactor* ObserveService::ReadSmaps(Context* context,
                                                   const v1::ReadSmapsRequest* request,
                                                   v1::ReadSmapsResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    OrRefusal<Reading> reading = CheckReading(registry(), "ReadSmaps", *request);
    if (!reading.ok()) return std::move(reading.refusal());
    const Limits& limits = registry().limits();
    const MmCall killable(reading->mm.mm());
    const Result<SmapsPage> page =
        faultline::ReadSmaps(reading->mm.mm(), reading->mode, reading->from,
                             PageSize(request->page_size(), kSmapsByDefault, limits));
    if (!page.ok()) {
      response->set_error(ToProto(page.error()));
      return {};
    }
    const auto next = AddWhatFits(*page, Room(limits, kSmapsBytes), &SmapsRecord::vma,
                                  [&](const SmapsRecord& one) {
                                    if (reading->format == v1::MAPS_FORMAT_TEXT) {
                                      AppendSmaps(one, *response->mutable_text());
                                      return;
                                    }
                                    v1::SmapsEntry& entry = *response->add_entries();
                                    ToProto(one.vma, reading->mm->machine(), *entry.mutable_vma());
                                    ToProto(one.residency, *entry.mutable_residency());
                                  });
    if (next) response->set_next_page_token(PageToken(epoch(), reading->list, next->value()));
    response->set_held_ns(page->held_ns);
    return {};
  });
}

ObserveService::Reactor* ObserveService::ReadSmapsRollup(Context* context,
                                                         const v1::ReadSmapsRollupRequest* request,
                                                         v1::ReadSmapsRollupResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    OrRefusal<MmUse> mm = registry().UseMm(request->mm(), "mm");
    if (!mm.ok()) return std::move(mm.refusal());
    OrRefusal<ReadMode> mode = ToCore(request->mode(), "mode");
    if (!mode.ok()) return std::move(mode.refusal());
    OrRefusal<v1::MapsFormat> format = FormatOf(request->format(), "format");
    if (!format.ok()) return std::move(format.refusal());
    const MmCall killable(mm->mm());
    const Result<SmapsRollup> rollup = faultline::ReadSmapsRollup(mm->mm(), *mode);
    if (!rollup.ok()) {
      response->set_error(ToProto(rollup.error()));
      return {};
    }
    response->set_start(rollup->range.start().value());
    response->set_end(rollup->range.end().value());
    if (*format == v1::MAPS_FORMAT_TEXT) {
      AppendSmapsRollup(*rollup, *response->mutable_text());
    } else {
      ToProto(rollup->residency, *response->mutable_residency());
    }
    response->set_held_ns(rollup->held_ns);
    return {};
  });
}

ObserveService::Reactor* ObserveService::QueryVma(Context* context,
                                                  const v1::QueryVmaRequest* request,
                                                  v1::QueryVmaResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    OrRefusal<MmUse> mm = registry().UseMm(request->mm(), "mm");
    if (!mm.ok()) return std::move(mm.refusal());
    OrRefusal<ReadMode> mode = ToCore(request->mode(), "mode");
    if (!mode.ok()) return std::move(mode.refusal());
    const MmCall killable(mm->mm());
    const Result<QueriedVma> answer =
        faultline::QueryVma(mm->mm(), *mode, VirtAddr(request->address()), request->query_flags());
    if (!answer.ok()) {
      response->set_error(ToProto(answer.error()));
      return {};
    }
    ToProto(answer->vma, (*mm)->machine(), *response->mutable_vma());
    response->set_query_vma_flags(answer->query_flags);
    response->set_page_bytes(answer->page_bytes);
    return {};
  });
}

}  // namespace faultline::server

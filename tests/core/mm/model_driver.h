// SPDX-License-Identifier: Apache-2.0
//
// Carries out the operations of naive_model.h on Mms, and compares. Page 0 of the model is At(0),
// or where the driver was told; several drivers may work in different places of one Mm.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <sstream>
#include <string>

#include "tests/core/mm/mm_fixture.h"
#include "tests/core/mm/naive_model.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Where a driver's pages are.
struct ModelPlace {
  VirtAddr base = At(0);
  uint64_t pages = 48;
  [[nodiscard]] VirtAddr Addr(uint64_t page) const { return base + page * kPageSize; }
  [[nodiscard]] VirtRange range() const { return {base, Addr(2 * pages)}; }
};

inline constexpr uint64_t kModelFilePages = 16;

/// One operation on an Mm. kFork and kExit are the caller's.
inline NaiveOutcome ApplyTo(Mm& mm, const ModelPlace& place, const NaiveOp& op, uint64_t word,
                            Mapping* file) {
  using Kind = NaiveOp::Kind;
  using Source = NaiveOp::Source;
  const auto of = [](const auto& result) {
    return NaiveOutcome{.error = result.ok() ? 0 : static_cast<int>(result.error())};
  };
  const auto access = [](const AccessOutcome& outcome, uint64_t read) {
    return NaiveOutcome{.signal = outcome.signal, .code = outcome.code, .word = read};
  };
  const VirtAddr addr = place.Addr(op.page);
  const uint64_t length = Pages(op.pages);
  switch (op.kind) {
    case Kind::kMmap: {
      static constexpr uint64_t kTypes[] = {abi::kMapPrivate | abi::kMapAnonymous,
                                            abi::kMapShared | abi::kMapAnonymous,
                                            abi::kMapDroppable | abi::kMapAnonymous,
                                            abi::kMapShared,
                                            abi::kMapPrivate,
                                            abi::kMapShared};
      const uint64_t type = kTypes[static_cast<size_t>(op.source)];
      const bool is_file = (type & abi::kMapAnonymous) == 0;
      return of(mm.Mmap({.addr = addr,
                         .length = length,
                         .prot = op.prot,
                         .flags = type | op.flags | abi::kMapFixed,
                         .file = is_file ? file : nullptr,
                         .file_writable = op.source != Source::kReadOnlyFile,
                         .open_file = is_file ? 1u + (op.source == Source::kReadOnlyFile) : 0u,
                         .offset = is_file ? Pages(op.offset) : 0}));
    }
    case Kind::kMunmap:
      return of(mm.Munmap(addr, length));
    case Kind::kMprotect:
      return of(mm.Mprotect(addr, length, op.prot));
    case Kind::kMremap:
      return of(mm.Mremap(addr, length, Pages(op.new_pages), op.flags, place.Addr(op.target)));
    case Kind::kMadvise:
      return of(mm.Madvise(addr, length, op.advice));
    case Kind::kMseal:
      return of(mm.Mseal(addr, length, 0));
    case Kind::kMlock:
      return of(mm.Mlock(addr, length));
    case Kind::kMlockOnFault:
      return of(mm.Mlock2(addr, length, abi::kMlockOnFault));
    case Kind::kMunlock:
      return of(mm.Munlock(addr, length));
    case Kind::kRead: {
      uint64_t read = 0;
      const AccessOutcome outcome = mm.Read(addr, read);
      return access(outcome, outcome.ok() ? read : 0);
    }
    case Kind::kWrite:
      return access(mm.Write(addr, word), 0);
    default:
      return {};
  }
}

/// What differs between the mapped pages and their rights; empty if nothing.
inline std::string CompareMaps(Mm& mm, const ModelPlace& place, const NaiveProcess& model) {
  std::map<uint64_t, std::pair<uint64_t, bool>> seen;
  mm.ForEachVma([&](const MapsLine& line) {
    const VirtRange inside = line.range.Intersect(place.range());
    for (uint64_t i = 0; i < inside.pages(); ++i) {
      const uint64_t page = ((inside.start() - place.base) >> kPageShift) + i;
      seen[page] = {line.flags & vma_flag::kAccess, (line.flags & vma_flag::kMayShare) != 0};
    }
  });
  std::map<uint64_t, std::pair<uint64_t, bool>> expected;
  for (const auto& [number, page] : model.pages()) {
    expected[number] = {page.prot, page.is_shared()};
  }
  if (seen == expected) return "";
  const auto text = [](const auto& pages) {
    std::ostringstream out;
    for (const auto& [number, page] : pages) {
      out << ' ' << number << ':' << page.first << (page.second ? "s" : "p");
    }
    return out.str();
  };
  return "mapped pages are" + text(seen) + "\nexpected        " + text(expected);
}

/// The same for the contents of all pages that can be read. Reads them.
inline std::string CompareContents(Mm& mm, const ModelPlace& place, NaiveProcess& model) {
  for (uint64_t page = 0; page < 2 * place.pages; ++page) {
    const NaiveOp read{.kind = NaiveOp::Kind::kRead, .page = page};
    const NaiveOutcome expected = model.Apply(read, 0);
    const NaiveOutcome seen = ApplyTo(mm, place, read, 0, nullptr);
    if (seen == expected) continue;
    return "page " + std::to_string(page) + " has word " + std::to_string(seen.word) + " signal " +
           std::to_string(seen.signal) + "/" + std::to_string(seen.code) + ", expected " +
           std::to_string(expected.word) + " signal " + std::to_string(expected.signal) + "/" +
           std::to_string(expected.code);
  }
  return "";
}

inline std::string Describe(const NaiveOutcome& outcome) {
  return "errno " + std::to_string(outcome.error) + " signal " + std::to_string(outcome.signal) +
         "/" + std::to_string(outcome.code) + " word " + std::to_string(outcome.word);
}

/// One random number after the other, all below some bound.
template <class Draw>  // uint64_t(uint64_t bound)
NaiveOp RandomOp(Draw draw, uint64_t pages, bool with_seals) {
  using Kind = NaiveOp::Kind;
  static constexpr Kind kKinds[] = {
      Kind::kMmap,     Kind::kMmap,   Kind::kMmap,         Kind::kMunmap,  Kind::kMunmap,
      Kind::kMprotect, Kind::kMremap, Kind::kMremap,       Kind::kMadvise, Kind::kMadvise,
      Kind::kMseal,    Kind::kMlock,  Kind::kMlockOnFault, Kind::kMunlock, Kind::kMunlock,
      Kind::kRead,     Kind::kRead,   Kind::kWrite,        Kind::kWrite,   Kind::kWrite,
      Kind::kFork,     Kind::kExit};
  static constexpr uint64_t kProts[] = {kRw, kRw, kRw, kR, kNone, abi::kProtExec, abi::kProtWrite};
  static constexpr uint64_t kMapFlags[] = {
      0, 0, 0, abi::kMapFixedNoReplace, abi::kMapPopulate, abi::kMapLocked, abi::kMapStack};
  static constexpr uint64_t kRemapFlags[] = {
      0,
      0,
      abi::kMremapMayMove,
      abi::kMremapFixed,
      abi::kMremapMayMove | abi::kMremapFixed,
      abi::kMremapMayMove | abi::kMremapFixed,
      abi::kMremapMayMove | abi::kMremapFixed | abi::kMremapDontUnmap};
  static constexpr int kAdvices[] = {
      abi::kMadvNormal,         abi::kMadvSequential,   abi::kMadvDontNeed,
      abi::kMadvDontNeed,       abi::kMadvFree,         abi::kMadvDontFork,
      abi::kMadvDoFork,         abi::kMadvDontDump,     abi::kMadvDoDump,
      abi::kMadvWipeOnFork,     abi::kMadvKeepOnFork,   abi::kMadvCold,
      abi::kMadvNoHugePage,     abi::kMadvPopulateRead, abi::kMadvPopulateWrite,
      abi::kMadvDontNeedLocked, abi::kMadvGuardInstall, abi::kMadvGuardInstall,
      abi::kMadvGuardRemove,    abi::kMadvGuardRemove};
  const auto pick = [&](const auto& from) { return from[draw(std::size(from))]; };
  NaiveOp op;
  op.kind = pick(kKinds);
  if (op.kind == Kind::kMseal && (!with_seals || draw(16) != 0)) op.kind = Kind::kRead;
  op.process = static_cast<uint32_t>(draw(3));
  op.page = draw(pages);
  op.pages = draw(8) == 0 ? draw(pages) : draw(6);
  op.prot = pick(kProts);
  op.flags = op.kind == Kind::kMremap ? pick(kRemapFlags) : pick(kMapFlags);
  op.source = static_cast<NaiveOp::Source>(draw(6));
  op.offset = draw(kModelFilePages + 2);
  op.new_pages = draw(2) == 0 ? op.pages : draw(6);
  if (op.new_pages > op.pages) op.pages = draw(4) == 0 ? 0 : 1;
  op.target = draw(pages);
  op.advice = pick(kAdvices);
  return op;
}

}  // namespace faultline

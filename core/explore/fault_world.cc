// SPDX-License-Identifier: Apache-2.0
//
// The set-up and the end of a run over a whole machine; see fault_world.h. Both happen in every
// schedule, of which a search runs tens of thousands a second: what is made here is as little as
// the scenarios can live with.
#include "core/explore/fault_world.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/explore/fault_expectations.h"
#include "core/mm/mm_lock.h"
#include "core/vma/vma_refcnt.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

Machine* MakeMachine(Heap& heap, uint64_t frames, uint32_t cpus) {
  const Result<Machine*> machine =
      Machine::CreateIn(heap, {.memory_bytes = frames * kPageSize, .cpus = cpus});
  MM_CHECK(machine.ok());
  return *machine;
}

MmOptions OptionsOf(const FaultOptions& fault) {
  // No gap between a stack and what lies below: a scenario has only a few pages.
  return {.fault = fault, .stack_guard_gap = 0, .fault_around_bytes = 4 * kPageSize};
}

Mm* MakeMm(Machine& machine, const MmOptions& options) {
  const Result<Mm*> mm = machine.CreateMm(options);
  MM_CHECK(mm.ok());
  return *mm;
}

uint64_t Mixed(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e37'79b9'7f4a'7c15u;
  return hash ^ (hash >> 29);
}

}  // namespace

FaultWorld::FaultWorld(Execution& run, const FaultOptions& options, uint32_t cpus)
    : machine_(MakeMachine(run.heap(), kFrames, cpus)),
      mm_(MakeMm(*machine_, OptionsOf(options))),
      options_(OptionsOf(options)) {
  end_.heap = &run.heap();
  end_.machine = machine_;
  run.NameObject(mm_, sizeof(Mm), "mm");
}

// -- Operations -----------------------------------------------------------------------------------

void FaultWorld::Map(int64_t page, uint64_t pages, uint64_t prot, uint64_t more_flags) {
  MM_CHECK(mm_->Mmap({.addr = Address(page),
                      .length = pages * kPageSize,
                      .prot = prot,
                      .flags = kMapPrivate | kMapAnonymous | kMapFixed | more_flags})
               .ok());
}

bool FaultWorld::MapIfFree(int64_t page, uint64_t pages) {
  const Result<VirtAddr> mapped =
      mm_->Mmap({.addr = Address(page),
                 .length = pages * kPageSize,
                 .prot = kReadWrite,
                 .flags = kMapPrivate | kMapAnonymous | kMapFixedNoReplace});
  MM_CHECK(mapped.ok() || mapped.error() == Errno::kEexist);
  NoteResult(mapped.ok() ? 1 : 2);
  return mapped.ok();
}

void FaultWorld::MapFile(int64_t page, uint64_t pages, Sharing sharing) {
  if (file_ == nullptr) {
    const Result<Mapping*> file = machine_->CreateFile("file", kFilePages * kPageSize);
    MM_CHECK(file.ok());
    file_ = *file;
  }
  MM_CHECK(mm_->Mmap({.addr = Address(page),
                      .length = pages * kPageSize,
                      .prot = kReadWrite,
                      .flags = (sharing == Sharing::kShared ? kMapShared : kMapPrivate) | kMapFixed,
                      .file = file_})
               .ok());
}

void FaultWorld::Unmap(int64_t page, uint64_t pages) {
  MM_CHECK(mm_->Munmap(Address(page), pages * kPageSize).ok());
}

void FaultWorld::Protect(int64_t page, uint64_t pages, uint64_t prot) {
  MM_CHECK(mm_->Mprotect(Address(page), pages * kPageSize, prot).ok());
}

void FaultWorld::Move(int64_t from, int64_t to, uint64_t pages) {
  MM_CHECK(mm_->Mremap(Address(from), pages * kPageSize, pages * kPageSize,
                       kMremapMayMove | kMremapFixed, Address(to))
               .ok());
}

void FaultWorld::DontNeed(int64_t page, uint64_t pages) {
  MM_CHECK(mm_->Madvise(Address(page), pages * kPageSize, kMadvDontNeed).ok());
}

void FaultWorld::Fork() {
  MM_CHECK(child_ == nullptr);
  const Result<Mm*> child = mm_->Fork();
  MM_CHECK(child.ok());
  child_ = *child;
}

// -- Accesses -------------------------------------------------------------------------------------

void FaultWorld::NoteResult(uint64_t result) {
  uint64_t& mine = results_[CurrentTask().id() % results_.size()];
  mine = mine * 8 + result;
}

bool FaultWorld::Ended(const AccessOutcome& outcome, May may) {
  const bool segv = outcome.signal == kSigSegv;
  const bool expected =
      outcome.ok() || (may == May::kFindNothing && segv && outcome.code == kSegvMapErr) ||
      (may == May::kBeDenied && segv && outcome.code == kSegvAccErr) ||
      (may == May::kLackMemory && (outcome.signal == 9 || (segv && outcome.code == kSegvMapErr)));
  if (!expected) {
    MM_CHECK_EQ(outcome.signal, 0);  // names the signal
    MM_CHECK_EQ(outcome.code, 0);
  }
  NoteResult(outcome.ok() ? 1 : 2);
  return outcome.ok();
}

bool FaultWorld::Write(int64_t page, uint64_t word, May may) {
  return Ended(mm_->Write(Address(page), word), may);
}

bool FaultWorld::TouchForWrite(int64_t page, May may) {
  return Ended(mm_->Touch(Address(page), AccessKind::kWrite), may);
}

uint64_t FaultWorld::Read(int64_t page, std::initializer_list<uint64_t> allowed, May may) {
  uint64_t word = 0;
  if (!Ended(mm_->Read(Address(page), word), may)) return *allowed.begin();
  const auto* const found = std::find(allowed.begin(), allowed.end(), word);
  if (found == allowed.end()) MM_CHECK_EQ(word, *allowed.begin());  // names what was read
  NoteResult(static_cast<uint64_t>(found - allowed.begin()));
  return word;
}

// -- Other mms ------------------------------------------------------------------------------------

Mm& FaultWorld::MakeOther() {
  other_ = MakeMm(*machine_, options_);
  return *other_;
}

void FaultWorld::UseAndEndOther(int64_t page) {
  MapInOther(page);
  MM_CHECK(other_->Munmap(Address(page), kPageSize).ok());
  EndOther();
}

void FaultWorld::MapInOther(int64_t page) {
  MM_CHECK(other_
               ->Mmap({.addr = Address(page),
                       .length = kPageSize,
                       .prot = kReadWrite,
                       .flags = kMapPrivate | kMapAnonymous | kMapFixed})
               .ok());
}

void FaultWorld::EndOther() {
  other_->DropUser();
  other_ = nullptr;
}

void FaultWorld::RememberVma(int64_t page) {
  const MmReader reader(*mm_);
  remembered_ = reader.At(Address(page));
}

void FaultWorld::CountRemembered() {
  // Slots that go through a grace period are found by nobody any more.
  if (InfoOf(options_.fault.scheme).lifetime != VmaLifetime::kTypeStable) return;
  const RcuGuard section;
  StableRef<Vma> ref(remembered_);
  MM_CHECK(VmaRefcnt::TryLock(ref, *mm_) != LeaveReason::kNone);
}

void FaultWorld::AddUser() {
  MM_CHECK(mm_->AddUser());
  users_leave_ = true;
}

void FaultWorld::LeaveMm() { mm_->DropUser(); }

// -- The end of a run -----------------------------------------------------------------------------

void FaultWorld::FoldMm(Mm& mm) {
  digest_ = Mixed(digest_, mm.map_count());
  for (const MmCounter counter :
       {MmCounter::kAnonPages, MmCounter::kFilePages, MmCounter::kTables}) {
    digest_ = Mixed(digest_, static_cast<uint64_t>(mm.counters().Sum(counter)));
  }
}

void FaultWorld::EndRun(void (*check)(FaultWorld&)) {
  if (check != nullptr) check(*this);
  machine_->Validate();
  for (const uint64_t result : results_) digest_ = Mixed(digest_, result);
  if (!users_leave_) {
    FoldMm(*mm_);
    mm_->DropUser();
  }
  for (Mm* mm : {child_, other_}) {
    if (mm == nullptr) continue;
    FoldMm(*mm);
    mm->DropUser();
  }
  if (file_ != nullptr) file_->Put();
  Rcu::Retire(end_, [](RcuHead* head) {
    auto* const end = static_cast<End*>(head);
    end->heap->Delete(end->machine);
  });
}

// -- Scenarios ------------------------------------------------------------------------------------

Scenario::Configured BodyOf(const FaultScenario& scenario) {
  return [scenario](Execution& run, const FaultOptions& options) {
    auto* const world = run.New<FaultWorld>(run, options, scenario.cpus);
    scenario.set_up(*world);
    world->results_ = {};
    for (const FaultScenario::Task& task : scenario.tasks) {
      run.Spawn(task.name, [world, code = task.code] { code(*world); });
    }
    run.AtEnd([world, check = scenario.check] { world->EndRun(check); });
    run.DigestWith([world] { return world->digest_; });
  };
}

Scenario AsScenario(const FaultScenario& scenario) {
  return {.name = scenario.name,
          .description = scenario.description,
          .finds = FaultExpectationsOf(scenario.name),
          .execution = {.detail = LockDetail::kNone},
          .body = BodyOf(scenario),
          .tasks = scenario.tasks.size()};
}

}  // namespace faultline

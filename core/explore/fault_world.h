// SPDX-License-Identifier: Apache-2.0
//
// FaultWorld: what the scenarios of page faults share. A small machine with one mm, everything in
// the run's heap; operations and accesses by page number, checked as far as every scenario wants
// them checked; and the end of a run: the scenario's own check, Machine::Validate, every user
// dropped, the machine taken apart, which checks that each frame has come back.
//
// Pages are counted from a multiple of 1 GiB: pages 0 to 3 share a PTE table, 511 and 512 differ in
// it, and -1 and 0 differ in the table above, too. A task runs on the CPU of its number, as far as
// there are so many; set-up runs on CPU 0 and leaves its translations in that CPU's TLB.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/build.h"
#include "core/explore/scenario.h"
#include "core/machine/machine.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// How an access may end other than well.
enum class May : uint8_t {
  kNotFail,      ///< the page is mapped at every moment, and allows it
  kFindNothing,  ///< SEGV_MAPERR
  kBeDenied,     ///< SEGV_ACCERR
  kLackMemory,   ///< SEGV_MAPERR, or killed since an allocation failed
};

class FaultWorld {
 public:
  /// `cpus` is 1 to 3: 1 lets all tasks share a TLB and a list of free frames.
  FaultWorld(Execution& run, const FaultOptions& options, uint32_t cpus);
  FaultWorld(const FaultWorld&) = delete;
  FaultWorld& operator=(const FaultWorld&) = delete;

  [[nodiscard]] Machine& machine() { return *machine_; }
  [[nodiscard]] Mm& mm() { return *mm_; }

  // -- Operations: they succeed ------------------------------------------------------------------

  static constexpr uint64_t kReadOnly = abi::kProtRead;
  static constexpr uint64_t kReadWrite = abi::kProtRead | abi::kProtWrite;
  /// Like kReadWrite, though such a VMA does not merge with one.
  static constexpr uint64_t kAll = kReadWrite | abi::kProtExec;

  /// Maps private anonymous memory at that place, over whatever is there.
  void Map(int64_t page, uint64_t pages, uint64_t prot = kReadWrite, uint64_t more_flags = 0);
  /// The same if nothing is there; whether it was so.
  bool MapIfFree(int64_t page, uint64_t pages);
  enum class Sharing : uint8_t { kPrivate, kShared };
  /// Maps the machine's one file from its beginning.
  void MapFile(int64_t page, uint64_t pages, Sharing sharing);
  void Unmap(int64_t page, uint64_t pages);
  void Protect(int64_t page, uint64_t pages, uint64_t prot);
  /// Moves the pages to another place.
  void Move(int64_t from, int64_t to, uint64_t pages);
  void DontNeed(int64_t page, uint64_t pages);
  /// Reclaim takes out what empty PTE tables the file's VMAs have.
  void ReclaimTables() { Mm::ReclaimTables(*file_); }
  /// Forks the mm; the child is validated with the rest, and dropped at the end.
  void Fork();

  // -- Accesses of a task ------------------------------------------------------------------------

  /// Whether it went well; the page's word then is `word`. Anything but what it may do is a
  /// violation.
  bool Write(int64_t page, uint64_t word, May may = May::kNotFail);
  /// A store that keeps what is there: an access for writing, without data.
  bool TouchForWrite(int64_t page, May may = May::kNotFail);
  /// The page's word, which is one of `allowed`; the first of these if it could not be read.
  uint64_t Read(int64_t page, std::initializer_list<uint64_t> allowed, May may = May::kNotFail);

  // -- Other mms ---------------------------------------------------------------------------------

  /// A second mm of the same machine, made for the set-up to call.
  Mm& MakeOther();
  [[nodiscard]] Mm& other() { return *other_; }
  /// Maps a page in the other mm, unmaps it, and ends that mm.
  void UseAndEndOther(int64_t page);
  /// Maps the page in the other mm; and ends it as it is.
  void MapInOther(int64_t page);
  void EndOther();
  /// The VMA at that page, for the set-up, to be looked for again when it is another's.
  void RememberVma(int64_t page);
  /// Takes and drops a count on the remembered slot as a lookup does that found it before.
  void CountRemembered();
  /// The mm gets one user more, who, like the first one, leaves by LeaveMm in a task.
  void AddUser();
  void LeaveMm();

  // -- A word that tasks tell each other by ------------------------------------------------------

  void Tell(uint64_t value) { told_.Store(value, kRelease); }     // pairs with Told
  [[nodiscard]] uint64_t Told() { return told_.Load(kAcquire); }  // pairs with Tell

  [[nodiscard]] static VirtAddr Address(int64_t page) {
    return VirtAddr(kPlace + static_cast<uint64_t>(page) * kPageSize);
  }

 private:
  friend Scenario::Configured BodyOf(const struct FaultScenario& scenario);

  static constexpr uint64_t kPlace = uint64_t{1} << 30;
  static constexpr uint64_t kFrames = 40;
  static constexpr uint64_t kFilePages = 4;

  /// Behind everything that a run retired: at its end callbacks come in order.
  struct End : RcuHead {
    Heap* heap = nullptr;
    Machine* machine = nullptr;
  };

  void NameObjects(Execution& run);
  /// Remembers for the digest how something ended for the calling task.
  void NoteResult(uint64_t result);
  bool Ended(const AccessOutcome& outcome, May may);
  void EndRun(void (*check)(FaultWorld&));
  void FoldMm(Mm& mm);

  Machine* const machine_;
  Mm* const mm_;
  MmOptions options_;
  Mm* other_ = nullptr;
  Mm* child_ = nullptr;
  Mapping* file_ = nullptr;
  Vma* remembered_ = nullptr;
  bool users_leave_ = false;  ///< tasks drop the users of mm_
  Atomic<uint64_t> told_{0};
  std::array<uint64_t, 8> results_{};  ///< by task id
  uint64_t digest_ = 0;
  End end_;
};

/// One scenario of faults as a row of a table.
struct FaultScenario {
  struct Task {
    const char* name;
    void (*code)(FaultWorld&);
  };
  const char* name;
  const char* description;
  void (*set_up)(FaultWorld&);
  std::vector<Task> tasks;
  void (*check)(FaultWorld&) = nullptr;  ///< of the final state, besides what always holds
  uint32_t cpus = 2;
};

/// As a scenario, with its expectations (fault_expectations.h).
[[nodiscard]] Scenario AsScenario(const FaultScenario& scenario);

}  // namespace faultline

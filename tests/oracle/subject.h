// SPDX-License-Identifier: Apache-2.0
//
// What is compared: a family of up to three processes that carries out operations and shows its
// memory. One side is always the running kernel; the other the simulated Mm, a second family of
// real processes, or a fake of the harness's own tests.
//
// Invariants: process 0 lives from the start; Apply is only called for a live process and Observe
// too; observing changes nothing that a later operation or observation could tell.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/oracle/operation.h"

namespace faultline::oracle {

/// What both sides are asked to do with a mapping that the kernel placed by its own choice.
enum class Mode {
  kArena,      // unmap it at once and report kElsewhere: only that it worked is compared
  kPlacement,  // keep it: the address and the whole map are compared
};

/// Stands for an address outside of the zone, in the arena mode.
inline constexpr uint64_t kElsewhere = 1;

struct Outcome {
  uint64_t value = 0;          // an address, or 0
  int error = 0;               // errno; 0: it worked
  int signal = 0;              // SIGSEGV or SIGBUS, of read and write
  int si_code = 0;             // with signal
  uint64_t fault_address = 0;  // with signal: the page of si_addr
  uint64_t word = 0;           // what read found
  bool died = false;           // the process did not survive the operation

  bool operator==(const Outcome&) const = default;
};

/// What the kernel shows in the last column of a line of maps, as far as it is modelled.
enum class NameKind : uint8_t {
  kNone,
  kSharedAnonymous,  // "/dev/zero (deleted)"
  kFile,             // the oracle's file
  kHeap,
  kStack,
  kOther,
};

struct MapLine {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t offset = 0;
  std::array<char, 4> perms = {};  // "rw-p"
  NameKind name = NameKind::kNone;

  bool operator==(const MapLine&) const = default;
};

/// A page that has an entry in the page table: present, or a guard.
struct PageState {
  uint64_t address = 0;
  uint64_t word = 0;  // the one at its start; 0 unless readable
  bool present = false;
  bool file_or_shared = false;
  bool guard = false;
  bool readable = false;  // present, and the mapping has PROT_READ

  bool operator==(const PageState&) const = default;
};

struct Snapshot {
  std::vector<MapLine> lines;
  std::vector<PageState> pages;  // empty in the placement mode

  bool operator==(const Snapshot&) const = default;
};

/// A process's whole address space, for the placement mode to start from.
struct Layout {
  struct Line {
    MapLine line;
    std::string name;  // as the kernel shows it
    bool anonymous = false;
    /// Was never accessible, as far as one can see: so nothing was ever written there, and it
    /// merges with what is mapped beside it, as a library's reservation does.
    bool untouched = false;
    bool no_reserve = false;  ///< mapped with MAP_NORESERVE
  };
  std::vector<Line> lines;
  uint64_t mmap_base = 0;
  uint64_t brk_start = 0;
  uint64_t stack_start = 0;
  uint64_t stack_limit = 0;
};

class Subject {
 public:
  Subject() = default;
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;
  virtual ~Subject() = default;

  /// Operations that this side does not know are left out on both.
  [[nodiscard]] virtual bool Supports(const Operation& op) const = 0;

  /// The labels of `op` are resolved: its addresses are absolute.
  virtual Outcome Apply(const Operation& op) = 0;

  /// Replaces the content of `snapshot`, whose memory is used again.
  virtual void Observe(int process, Snapshot& snapshot) = 0;
};

/// Makes a family in its initial state.
using SubjectFactory = std::function<std::unique_ptr<Subject>()>;

}  // namespace faultline::oracle

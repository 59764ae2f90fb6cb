// SPDX-License-Identifier: Apache-2.0
//
// A naive sequential model of processes' memory: every page by itself, with what it shows, and the
// system calls restated on pages as the man pages tell them. No VMAs, no merging, no page tables,
// no copy-on-write: a private page has its own word or shows its object's.
//
// What depends on where VMAs begin and end is not said here; Determined tells whether a call's
// outcome is free of that. Invariant: a call that fails has changed a prefix of the pages, as the
// kernel's page-wise walk does.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "core/mm/mm.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Memory that mappings share: a file, or shared anonymous memory.
struct NaiveObject {
  std::vector<uint64_t> words;  ///< one for each page
};

struct NaivePage {
  std::shared_ptr<NaiveObject> object;  ///< null: private anonymous
  uint64_t index = 0;                   ///< in the object
  bool shared = false;                  ///< writes go to the object
  std::optional<uint64_t> word;         ///< of a private page that was written
  uint64_t prot = 0;
  bool may_write = true;  ///< mprotect may allow writing
  bool locked = false;
  bool on_fault = false;  ///< locked, but nothing is faulted in ahead
  bool sealed = false;
  bool droppable = false;
  bool dont_fork = false;
  bool wipe_on_fork = false;
  bool guard = false;

  [[nodiscard]] bool is_shared() const { return shared || !may_write; }
  [[nodiscard]] bool is_anonymous() const { return object == nullptr; }
};

/// One call or access; addresses in pages.
struct NaiveOp {
  enum class Kind : uint8_t {
    kMmap,
    kMunmap,
    kMprotect,
    kMremap,
    kMadvise,
    kMseal,
    kMlock,
    kMlockOnFault,
    kMunlock,
    kRead,
    kWrite,
    kFork,
    kExit,
    kCount
  };
  /// What mmap maps.
  enum class Source : uint8_t { kAnon, kShared, kDroppable, kFile, kPrivateFile, kReadOnlyFile };

  Kind kind = Kind::kRead;
  uint32_t process = 0;
  uint64_t page = 0;
  uint64_t pages = 0;  ///< mremap: old length
  uint64_t prot = 0;
  uint64_t flags = 0;  ///< of mmap beyond the type, and of mremap
  Source source = Source::kAnon;
  uint64_t offset = 0;     ///< of mmap, in pages of the file
  uint64_t new_pages = 0;  ///< of mremap
  uint64_t target = 0;     ///< of mremap: page; of fork: the child's slot
  int advice = 0;
};
[[nodiscard]] std::string Describe(const NaiveOp& op);
inline std::ostream& operator<<(std::ostream& out, const NaiveOp& op) {
  return out << Describe(op);
}

/// How an access or a call ended.
struct NaiveOutcome {
  int error = 0;   ///< errno
  int signal = 0;  ///< of accesses
  int code = 0;
  uint64_t word = 0;  ///< of a read
  friend bool operator==(const NaiveOutcome&, const NaiveOutcome&) = default;
};

class NaiveProcess {
 public:
  /// By page number.
  using Pages = std::map<uint64_t, NaivePage>;

  explicit NaiveProcess(std::shared_ptr<NaiveObject> file) : file_(std::move(file)) {}

  [[nodiscard]] const Pages& pages() const { return pages_; }
  [[nodiscard]] bool Determined(const NaiveOp& op) const;
  /// Any call or access on this process. kWrite writes `word`.
  NaiveOutcome Apply(const NaiveOp& op, uint64_t word);
  [[nodiscard]] NaiveProcess Fork() const;

 private:
  int Mmap(const NaiveOp& op);
  int Munmap(uint64_t page, uint64_t pages);
  int Mprotect(const NaiveOp& op);
  int Mremap(const NaiveOp& op);
  int MoveAll(const NaiveOp& op);
  int Resize(const NaiveOp& op);
  int MoveOne(const NaiveOp& op);
  int Madvise(const NaiveOp& op);
  int AdvisePage(NaivePage& page, int advice);
  int Lock(const NaiveOp& op);
  NaiveOutcome Access(const NaiveOp& op, uint64_t word);
  NaivePage* Find(uint64_t page);
  [[nodiscard]] const NaivePage* Find(uint64_t page) const;
  [[nodiscard]] bool AnySealed(uint64_t page, uint64_t pages) const;
  void MovePage(uint64_t from, uint64_t to, bool keep_source);
  void AddAfter(NaivePage page, uint64_t number, uint64_t count);
  static int Populate(NaivePage& page, bool write);

  std::shared_ptr<NaiveObject> file_;
  Pages pages_;
};

}  // namespace faultline

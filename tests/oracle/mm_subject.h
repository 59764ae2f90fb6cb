// SPDX-License-Identifier: Apache-2.0
//
// The simulation as a subject: a Machine with one Mm for each process of the family. The only part
// of the oracle that knows core.
//
// Its Mms have the limits and capabilities that the kernel's side gives its processes, and the
// locking scheme and policies that the run asks for: answers must not depend on them. In the
// placement mode process 0 begins with the address space of a real one.
#pragma once

#include <array>
#include <memory>
#include <set>
#include <vector>

#include "core/machine/machine.h"
#include "tests/oracle/subject.h"

namespace faultline::oracle {

class MmSubject : public Subject {
 public:
  /// When the simulation checks its own invariants.
  enum class Validate { kAtEnd, kEachRelease };
  struct Setup {
    Validate validate = Validate::kAtEnd;
    FaultOptions fault = {};
    WriteDuties extra_duties = 0;
  };
  /// `layout` is for the placement mode, else null.
  MmSubject(Mode mode, const Layout* layout, const Setup& setup);
  /// Validates every Mm that is left, and tears all down.
  ~MmSubject() override;

  [[nodiscard]] bool Supports(const Operation& op) const override;
  Outcome Apply(const Operation& op) override;
  void Observe(int process, Snapshot& snapshot) override;

 private:
  void ImportLayout(const Layout& layout);
  void FillFile();
  [[nodiscard]] bool IsExecuteOnly(const Operation& op) const;
  [[nodiscard]] bool PageOutWouldShow(const Operation& op) const;
  Outcome Mmap(Mm& mm, const Operation& op);
  Outcome Mremap(Mm& mm, const Operation& op);
  Outcome Placed(Mm& mm, const Result<VirtAddr>& result, uint64_t length) const;
  Outcome Fork(Mm& mm, int index);
  [[nodiscard]] NameKind NameOf(int process, const MapsLine& line) const;

  Mode mode_;
  bool lazily_freed_ = false;  // some pages may be
  std::unique_ptr<Machine> machine_;
  Mapping* file_ = nullptr;
  std::vector<Mapping*> imported_;  // files of the imported layout
  std::set<const Mapping*> other_;  // of these, those whose names are not modelled
  VirtAddr brk_start_{0};
  VirtAddr stack_start_{0};
  std::array<Mm*, kMaxProcesses> mms_ = {};
};

}  // namespace faultline::oracle

// SPDX-License-Identifier: Apache-2.0
//
// The running kernel as a subject: a family of real processes. Each gets its operations through a
// mailbox and is observed through /proc from outside.
//
// At most kMaxFamilies exist at a time. The first one made starts the zygote, so make it before
// there is a second thread.
#pragma once

#include <array>
#include <optional>

#include "tests/oracle/mailbox.h"
#include "tests/oracle/proc_observer.h"
#include "tests/oracle/subject.h"

namespace faultline::oracle {

class KernelSubject : public Subject {
 public:
  explicit KernelSubject(Mode mode);
  ~KernelSubject() override;

  [[nodiscard]] bool Supports(const Operation& /*op*/) const override { return true; }
  Outcome Apply(const Operation& op) override;
  void Observe(int process, Snapshot& snapshot) override;

  /// What the address space of process 0 looks like now.
  [[nodiscard]] Layout ReadLayout();

 private:
  struct Process {
    int pid;
    ProcObserver observer;
  };

  void Adopt(int index, int64_t pid);
  void Reap(int index);
  [[nodiscard]] bool HasDied(int index);

  Mode mode_;
  int family_;
  std::array<std::optional<Process>, kMaxProcesses> processes_;
};

}  // namespace faultline::oracle

// SPDX-License-Identifier: Apache-2.0
//
// The oracle's end of the mailboxes, and the pool of what must exist before the zygote: shared
// memory, and for each family a file in memory which both kinds of descriptor name.
#include "tests/oracle/kernel_subject.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <string>

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include "tests/oracle/arena.h"
#include "tests/oracle/die.h"
#include "tests/oracle/kernel_process.h"

namespace faultline::oracle {
namespace {

/// A process that does not answer for so long is looked at: has it died?
constexpr int kPatienceMs = 200;

void PinToOneCpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(sched_getcpu()), &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) DieErrno("cannot pin to one CPU");
}

/// What all families share. Made once and never taken down: the processes die with the oracle.
class Pool {
 public:
  static Pool& Get() {
    static auto& pool = *new Pool;
    return pool;
  }

  SharedState& shared() { return *shared_; }

  int Enter() {
    for (int family = 0; family < kMaxFamilies; ++family) {
      if (taken_[family]) continue;
      taken_[family] = true;
      ResetFile(family);
      return family;
    }
    Die("too many families of processes at a time");
  }
  void Leave(int family) { taken_[family] = false; }

  int64_t Spawn(int family, int index) {
    Mailbox& mailbox = shared_->zygote;
    mailbox.request.args[0] = static_cast<uint64_t>(index);
    mailbox.request.args[1] = static_cast<uint64_t>(family);
    PassTurn(mailbox, Turn::kProcess);
    if (!WaitForTurn(mailbox, Turn::kOracle, 10'000)) Die("the zygote does not answer");
    return mailbox.reply.result;
  }

 private:
  Pool() {
    PinToOneCpu();
    void* memory = mmap(nullptr, sizeof(SharedState), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) DieErrno("no shared memory");
    shared_ = new (memory) SharedState;
    shared_->oracle_pid = getpid();
    for (int family = 0; family < kMaxFamilies; ++family) OpenFile(family);
    if (StartZygote(*shared_) < 0) DieErrno("cannot fork");
  }

  void OpenFile(int family) {
    // Sealing off execution is the default on some systems; then PROT_EXEC would differ by host.
    const int fd = memfd_create("faultline_oracle_file", MFD_CLOEXEC);
    if (fd < 0) DieErrno("memfd_create");
    const std::string path = absl::StrCat("/proc/self/fd/", fd);
    const int read_only = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (read_only < 0) DieErrno("cannot open a file in memory for reading");
    shared_->read_write_fds[family] = fd;
    shared_->read_only_fds[family] = read_only;
  }

  void ResetFile(int family) {
    const int fd = shared_->read_write_fds[family];
    bool ok = ftruncate(fd, 0) == 0 && ftruncate(fd, static_cast<off_t>(kFileSize)) == 0;
    for (uint64_t page = 0; page <= kFilePages && ok; ++page) {
      const uint64_t word = FileWord(page);
      ok = pwrite(fd, &word, sizeof(word), static_cast<off_t>(page * kPageSize)) == sizeof(word);
    }
    if (!ok) DieErrno("cannot fill a file in memory");
  }

  SharedState* shared_ = nullptr;
  std::array<bool, kMaxFamilies> taken_ = {};
};

bool ReturnsAddress(OpKind kind) {
  return kind == OpKind::kMmap || kind == OpKind::kMremap || kind == OpKind::kBrk;
}

Outcome ToOutcome(const Operation& op, const Reply& reply) {
  Outcome outcome;
  if (reply.result < 0 && reply.result >= -4095) {
    outcome.error = static_cast<int>(-reply.result);
  } else if (ReturnsAddress(op.kind)) {
    outcome.value = static_cast<uint64_t>(reply.result);
  }
  outcome.signal = reply.signal;
  outcome.si_code = reply.si_code;
  outcome.fault_address = reply.fault_address;
  outcome.word = reply.word;
  return outcome;
}

}  // namespace

KernelSubject::KernelSubject(Mode mode) : mode_(mode), family_(Pool::Get().Enter()) {
  Adopt(0, Pool::Get().Spawn(family_, 0));
}

KernelSubject::~KernelSubject() {
  for (int index = 0; index < kMaxProcesses; ++index) {
    if (!processes_[index]) continue;
    kill(processes_[index]->pid, SIGKILL);
    Reap(index);
  }
  Pool::Get().Leave(family_);
}

Outcome KernelSubject::Apply(const Operation& op) {
  Mailbox& mailbox = Pool::Get().shared().processes[family_][op.process];
  mailbox.request.kind = op.kind;
  mailbox.request.keep_elsewhere = mode_ == Mode::kPlacement;
  std::copy(op.args.begin(), op.args.end(), mailbox.request.args);
  PassTurn(mailbox, Turn::kProcess);
  if (op.kind == OpKind::kExit) {
    Reap(op.process);
    mailbox.turn.store(Turn::kOracle, std::memory_order_relaxed);  // nobody else looks at it
    return {};
  }
  while (!WaitForTurn(mailbox, Turn::kOracle, kPatienceMs)) {
    if (!HasDied(op.process)) continue;
    mailbox.turn.store(Turn::kOracle, std::memory_order_relaxed);  // nobody else looks at it
    return {.died = true};
  }
  if (op.kind == OpKind::kFork && mailbox.reply.result > 0) {
    Adopt(static_cast<int>(op.args[0]), mailbox.reply.result);
  }
  return ToOutcome(op, mailbox.reply);
}

void KernelSubject::Observe(int process, Snapshot& snapshot) {
  processes_[process]->observer.Observe(snapshot);
}

void KernelSubject::Adopt(int index, int64_t pid) {
  if (pid <= 0) Die("cannot start a process");
  const int child = static_cast<int>(pid);
  processes_[index].emplace(Process{child, ProcObserver(child, mode_)});
}

void KernelSubject::Reap(int index) {
  int status = 0;
  waitpid(processes_[index]->pid, &status, 0);
  processes_[index].reset();
}

bool KernelSubject::HasDied(int index) {
  if (!processes_[index]) return true;
  int status = 0;
  if (waitpid(processes_[index]->pid, &status, WNOHANG) == 0) return false;
  processes_[index].reset();
  return true;
}

Layout KernelSubject::ReadLayout() {
  Layout layout = processes_[0]->observer.ReadLayout();
  std::ifstream file(absl::StrCat("/proc/", processes_[0]->pid, "/stat"));
  const std::string stat((std::istreambuf_iterator<char>(file)), {});
  // Counted from behind the command's name, which may hold spaces: startstack is field 28 of
  // proc(5), start_brk is 47.
  const std::vector<std::string> fields =
      absl::StrSplit(stat.substr(std::min(stat.size(), stat.rfind(')') + 2)), ' ');
  constexpr size_t kFirst = 3;
  if (fields.size() <= 47 - kFirst || !absl::SimpleAtoi(fields[28 - kFirst], &layout.stack_start) ||
      !absl::SimpleAtoi(fields[47 - kFirst], &layout.brk_start)) {
    Die("cannot read /proc/PID/stat");
  }
  rlimit limit = {};
  getrlimit(RLIMIT_STACK, &limit);
  layout.stack_limit = limit.rlim_cur;
  return layout;
}

}  // namespace faultline::oracle

// SPDX-License-Identifier: Apache-2.0
//
// Serving operations. System calls are made without the C library where it would look at the
// arguments or remember a result (brk, mremap, fork). A load or store that faults is caught on an
// alternate stack: the handler notes the signal and lets the instruction behind the access run.
#include "tests/oracle/kernel_process.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdlib>

#include "tests/oracle/abi.h"
#include "tests/oracle/arena.h"

// The only two instructions that touch the memory under test. A signal handler cannot unwind out
// of them, but it can move the instruction pointer to their end.
extern "C" {
uint64_t FaultlineOracleLoad(uint64_t address);
void FaultlineOracleStore(uint64_t address, uint64_t word);
extern const char kFaultlineOracleAfterLoad[];
extern const char kFaultlineOracleAfterStore[];
}
asm(R"(
.text
.globl FaultlineOracleLoad, kFaultlineOracleAfterLoad
.type FaultlineOracleLoad, @function
FaultlineOracleLoad:
    mov (%rdi), %rax
kFaultlineOracleAfterLoad:
    ret
.globl FaultlineOracleStore, kFaultlineOracleAfterStore
.type FaultlineOracleStore, @function
FaultlineOracleStore:
    mov %rsi, (%rdi)
kFaultlineOracleAfterStore:
    ret
)");

namespace faultline::oracle {
namespace {

/// Where the handler leaves what it saw. Private memory: each process has its own.
Reply* volatile reply_of_fault = nullptr;
alignas(64) std::byte alternate_stack[32768];

int64_t SystemCall(long number, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0,
                   uint64_t e = 0, uint64_t f = 0) {
  int64_t result;
  register uint64_t r10 asm("r10") = d;
  register uint64_t r8 asm("r8") = e;
  register uint64_t r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

void CatchFault(int signal, siginfo_t* info, void* raw_context) {
  auto* context = static_cast<ucontext_t*>(raw_context);
  greg_t& ip = context->uc_mcontext.gregs[REG_RIP];
  const auto at = static_cast<uint64_t>(ip);
  if (at == reinterpret_cast<uint64_t>(&FaultlineOracleLoad)) {
    ip = reinterpret_cast<greg_t>(kFaultlineOracleAfterLoad);
    context->uc_mcontext.gregs[REG_RAX] = 0;
  } else if (at == reinterpret_cast<uint64_t>(&FaultlineOracleStore)) {
    ip = reinterpret_cast<greg_t>(kFaultlineOracleAfterStore);
  } else {
    _exit(99);  // not the memory under test: an operation hit the process itself
  }
  reply_of_fault->signal = signal;
  reply_of_fault->si_code = info->si_code;
  reply_of_fault->fault_address = PageDown(reinterpret_cast<uint64_t>(info->si_addr));
}

/// No process outlives the oracle, however that ends.
void DieWithOracle(const SharedState& shared) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != shared.oracle_pid) _exit(0);
}

/// Without privileges but for locking memory, mmap_min_addr holds for root's tests too, and
/// madvise cannot poison real memory whatever the operations ask for.
void DropPrivileges() {
  const __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return;
  const uint32_t keep = 1u << CAP_IPC_LOCK;
  data[0] = {data[0].effective & keep, data[0].permitted & keep, 0};
  data[1] = {};
  syscall(SYS_capset, &header, data);
}

void SetUpZygote(const SharedState& shared) {
  DieWithOracle(shared);
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  DropPrivileges();
  prctl(PR_SET_DUMPABLE, 1);  // or the oracle, when it is not root's, could not look inside
  const stack_t stack = {
      .ss_sp = alternate_stack, .ss_flags = 0, .ss_size = sizeof(alternate_stack)};
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = CatchFault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

/// A copy of this process as another child of the oracle.
int64_t Clone() { return SystemCall(SYS_clone, CLONE_PARENT | SIGCHLD); }

[[noreturn]] void Serve(SharedState& shared, int family, int index);

int64_t Spawn(SharedState& shared, int family, int index) {
  const int64_t pid = Clone();
  if (pid != 0) return pid;
  DieWithOracle(shared);
  dup2(shared.read_write_fds[family], static_cast<int>(kFileFd));
  dup2(shared.read_only_fds[family], static_cast<int>(kReadOnlyFileFd));
  Serve(shared, family, index);
}

int64_t ForkServed(SharedState& shared, int family, int index) {
  const int64_t pid = Clone();
  if (pid != 0) return pid;
  DieWithOracle(shared);
  Serve(shared, family, index);
}

/// In the arena mode a mapping that the kernel placed somewhere is not kept: only that it worked
/// is compared, and the next one must find the same space.
int64_t DropElsewhere(const Request& request, int64_t result, uint64_t length) {
  if (result < 0 && result >= -4095) return result;
  if (request.keep_elsewhere || static_cast<uint64_t>(result) < kZoneEnd) return result;
  SystemCall(SYS_munmap, static_cast<uint64_t>(result), PageUp(length));
  return 1;  // kElsewhere
}

int64_t Perform(SharedState& shared, int family, const Request& request, Reply& reply) {
  const auto& a = request.args;
  switch (request.kind) {
    case OpKind::kMmap:
      return DropElsewhere(request, SystemCall(SYS_mmap, a[0], a[1], a[2], a[3], a[4], a[5]), a[1]);
    case OpKind::kMunmap:
      return SystemCall(SYS_munmap, a[0], a[1]);
    case OpKind::kMprotect:
      return SystemCall(SYS_mprotect, a[0], a[1], a[2]);
    case OpKind::kMremap:
      return DropElsewhere(request, SystemCall(SYS_mremap, a[0], a[1], a[2], a[3], a[4]), a[2]);
    case OpKind::kMadvise:
      return SystemCall(SYS_madvise, a[0], a[1], a[2]);
    case OpKind::kMseal:
      return SystemCall(kSysMseal, a[0], a[1], a[2]);
    case OpKind::kMlock:
      return SystemCall(SYS_mlock, a[0], a[1]);
    case OpKind::kMlock2:
      return SystemCall(SYS_mlock2, a[0], a[1], a[2]);
    case OpKind::kMunlock:
      return SystemCall(SYS_munlock, a[0], a[1]);
    case OpKind::kMlockall:
      return SystemCall(SYS_mlockall, a[0]);
    case OpKind::kMunlockall:
      return SystemCall(SYS_munlockall);
    case OpKind::kBrk:
      return SystemCall(SYS_brk, a[0]);
    case OpKind::kRead:
      reply.word = FaultlineOracleLoad(a[0]);
      return 0;
    case OpKind::kWrite:
      FaultlineOracleStore(a[0], a[1]);
      return 0;
    case OpKind::kFork:
      return ForkServed(shared, family, static_cast<int>(a[0]));
    case OpKind::kExit:
      SystemCall(SYS_exit_group, 0);
  }
  return 0;
}

void Serve(SharedState& shared, int family, int index) {
  Mailbox& mailbox = shared.processes[family][index];
  while (true) {
    WaitForTurn(mailbox, Turn::kProcess, 0);
    mailbox.reply = Reply{};
    reply_of_fault = &mailbox.reply;
    mailbox.reply.result = Perform(shared, family, mailbox.request, mailbox.reply);
    PassTurn(mailbox, Turn::kOracle);
  }
}

[[noreturn]] void ServeZygote(SharedState& shared) {
  while (true) {
    WaitForTurn(shared.zygote, Turn::kProcess, 0);
    const Request& request = shared.zygote.request;
    shared.zygote.reply.result =
        Spawn(shared, static_cast<int>(request.args[1]), static_cast<int>(request.args[0]));
    PassTurn(shared.zygote, Turn::kOracle);
  }
}

}  // namespace

int StartZygote(SharedState& shared) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  SetUpZygote(shared);
  ServeZygote(shared);
}

}  // namespace faultline::oracle

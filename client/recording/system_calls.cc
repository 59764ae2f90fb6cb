// SPDX-License-Identifier: Apache-2.0
//
// System calls of Linux on x86-64 by name, up to 6.18. Those that are known to leave mappings alone
// are a list of words, so that a name that is in no table is known to be unknown.
//
// prctl is among them: what it does to mappings is to name them. So is mbind: memory policies move
// pages, not mappings.
#include "client/recording/system_calls.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "absl/container/flat_hash_set.h"

#include "client/recording/recording.h"

namespace faultline::client {
namespace {

struct Named {
  std::string_view name;
  SystemCall call;
};

constexpr std::array kCalls = {
    Named{"mmap", {CallClass::kCarried, OpKind::kMmap, 6}},
    Named{"munmap", {CallClass::kCarried, OpKind::kMunmap, 2}},
    Named{"mprotect", {CallClass::kCarried, OpKind::kMprotect, 3}},
    Named{"pkey_mprotect", {CallClass::kCarried, OpKind::kMprotect, 4}},
    Named{"mremap", {CallClass::kCarried, OpKind::kMremap, 5}},
    Named{"madvise", {CallClass::kCarried, OpKind::kMadvise, 3}},
    Named{"brk", {CallClass::kCarried, OpKind::kBrk, 1}},
    Named{"mlock", {CallClass::kCarried, OpKind::kMlock, 2}},
    Named{"mlock2", {CallClass::kCarried, OpKind::kMlock, 3}},
    Named{"munlock", {CallClass::kCarried, OpKind::kMunlock, 2}},
    Named{"mlockall", {CallClass::kCarried, OpKind::kMlockall, 1}},
    Named{"munlockall", {CallClass::kCarried, OpKind::kMunlockall, 0}},
    Named{"mseal", {CallClass::kCarried, OpKind::kMseal, 3}},
    Named{"fork", {CallClass::kProcess, OpKind::kFork, 0}},
    Named{"vfork", {CallClass::kProcess, OpKind::kFork, 0}},
    Named{"clone", {CallClass::kProcess, OpKind::kFork, 0}},
    Named{"clone3", {CallClass::kProcess, OpKind::kFork, 0}},
    Named{"execve", {CallClass::kProcess, OpKind::kExec, 0}},
    Named{"execveat", {CallClass::kProcess, OpKind::kExec, 0}},
    Named{"exit", {CallClass::kProcess, OpKind::kExitThread, 1}},
    Named{"exit_group", {CallClass::kProcess, OpKind::kExitProcess, 1}},
};

/// They change mappings in ways that no operation has.
constexpr std::array<std::string_view, 8> kUnsupported = {
    "io_destroy", "io_setup", "map_shadow_stack", "process_madvise", "remap_file_pages", "shmat",
    "shmdt",      "uselib"};

constexpr std::string_view kHarmless =
    "_sysctl accept accept4 access acct add_key adjtimex afs_syscall alarm arch_prctl bind "
    "bpf cachestat capget capset chdir chmod chown chroot clock_adjtime clock_getres "
    "clock_gettime clock_nanosleep clock_settime close close_range connect copy_file_range "
    "creat create_module delete_module dup dup2 dup3 epoll_create epoll_create1 epoll_ctl "
    "epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 "
    "faccessat faccessat2 fadvise64 fallocate fanotify_init fanotify_mark fchdir fchmod "
    "fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr file_getattr file_setattr "
    "finit_module flistxattr flock fremovexattr fsconfig fsetxattr fsmount fsopen fspick "
    "fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake "
    "futimesat get_kernel_syms get_mempolicy get_robust_list get_thread_area getcpu getcwd "
    "getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid "
    "getpgrp getpid getpmsg getppid getpriority getrandom getresgid getresuid getrlimit "
    "getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr getxattrat "
    "init_module inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel "
    "io_getevents io_pgetevents io_submit io_uring_enter io_uring_register io_uring_setup "
    "ioctl ioperm iopl ioprio_get ioprio_set kcmp kexec_file_load kexec_load keyctl kill "
    "landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link "
    "linkat listen listmount listns listxattr listxattrat llistxattr lookup_dcookie "
    "lremovexattr lseek lsetxattr lsm_get_self_attr lsm_list_modules lsm_set_self_attr lstat "
    "mbind membarrier memfd_create memfd_secret migrate_pages mincore mkdir mkdirat mknod "
    "mknodat modify_ldt mount mount_setattr move_mount move_pages mq_getsetattr mq_notify "
    "mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd msync "
    "name_to_handle_at nanosleep newfstatat nfsservctl open open_by_handle_at open_tree "
    "open_tree_attr openat openat2 pause perf_event_open personality pidfd_getfd pidfd_open "
    "pidfd_send_signal pipe pipe2 pivot_root pkey_alloc pkey_free poll ppoll prctl pread64 "
    "preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 "
    "ptrace putpmsg pwrite64 pwritev pwritev2 query_module quotactl quotactl_fd read "
    "readahead readlink readlinkat readv reboot recvfrom recvmmsg recvmsg removexattr "
    "removexattrat rename renameat renameat2 request_key restart_syscall rmdir rseq "
    "rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend "
    "rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min "
    "sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval "
    "sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp "
    "security select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto "
    "set_mempolicy set_mempolicy_home_node set_robust_list set_thread_area set_tid_address "
    "setdomainname setfsgid setfsuid setgid setgroups sethostname setitimer setns setpgid "
    "setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt "
    "settimeofday setuid setxattr setxattrat shmctl shmget shutdown sigaltstack signalfd "
    "signalfd4 socket socketpair splice stat statfs statmount statx swapoff swapon symlink "
    "symlinkat sync sync_file_range syncfs sysfs sysinfo syslog tee tgkill time timer_create "
    "timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create "
    "timerfd_gettime timerfd_settime times tkill truncate tuxcall umask umount2 uname unlink "
    "unlinkat unshare uretprobe userfaultfd ustat utime utimensat utimes vhangup vmsplice "
    "vserver wait4 waitid write writev ";

absl::flat_hash_set<std::string_view> Words(std::string_view text) {
  absl::flat_hash_set<std::string_view> words;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    words.insert(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

}  // namespace

SystemCall FindSystemCall(std::string_view name) {
  static const absl::flat_hash_set<std::string_view> harmless = Words(kHarmless);
  const auto* const found = std::ranges::find(kCalls, name, &Named::name);
  if (found != kCalls.end()) return found->call;
  if (harmless.contains(name)) return {.call_class = CallClass::kHarmless};
  const bool known = std::ranges::find(kUnsupported, name) != kUnsupported.end();
  return {.call_class = known ? CallClass::kUnsupported : CallClass::kUnknown};
}

}  // namespace faultline::client

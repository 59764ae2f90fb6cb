// SPDX-License-Identifier: Apache-2.0
//
// What operations of an Mm cost, beside the same calls on the running kernel in interleaved pairs,
// and how they grow with the number of VMAs.
//
//   mm_bench [--quick] [--json]
//
// The kernel's column is context, no competitor: ours takes no trap, no hardware TLB miss and no
// inter-processor interrupt.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include <absl/strings/str_format.h>

#include "core/machine/machine.h"
#include "core/sync/lock_stats.h"
#include "tests/bench/pairs.h"

namespace faultline::bench {
namespace {

constexpr uint64_t kSpan = 16 * kPageSize;
constexpr uint64_t kKernelMost = 60'000;  // below Linux's default max_map_count
/// Where the VMAs that are only there lie: far from where placement looks first.
constexpr uint64_t kCrowd = 0x1000'0000'0000;

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

/// One machine with one mm that has `vmas` mappings of a page each.
class OurMm {
 public:
  explicit OurMm(uint64_t vmas) {
    auto machine = Machine::Create({.memory_bytes = 4ull << 30});
    if (!machine.ok()) Fail("machine");
    machine_ = *std::move(machine);
    const auto mm = machine_->CreateMm({.max_map_count = UINT64_MAX});
    if (!mm.ok()) Fail("mm");
    mm_ = *mm;
    for (uint64_t i = 0; i < vmas; ++i) {
      // Neighbours differ in their protection, so they do not merge.
      const uint64_t prot = abi::kProtRead | (i % 2 == 0 ? abi::kProtWrite : 0);
      Map(VirtAddr(kCrowd + i * kPageSize), kPageSize, prot, abi::kMapFixed);
    }
    target_ = Map(VirtAddr(0), 3 * kPageSize, kReadWrite, 0);
  }
  ~OurMm() { mm_->DropUser(); }
  OurMm(const OurMm&) = delete;
  OurMm& operator=(const OurMm&) = delete;

  void MapUnmap() {
    const VirtAddr addr = Map(VirtAddr(0), kSpan, kReadWrite, 0);
    if (!mm_->Munmap(addr, kSpan).ok()) Fail("munmap");
  }
  /// The middle page of three becomes read-only, which makes three VMAs, and writable again.
  void SplitMerge() {
    Protect(abi::kProtRead);
    Protect(kReadWrite);
  }
  void ForkExit() {
    const auto child = mm_->Fork();
    if (!child.ok()) Fail("fork");
    (*child)->DropUser();
  }

 private:
  static constexpr uint64_t kReadWrite = abi::kProtRead | abi::kProtWrite;

  VirtAddr Map(VirtAddr addr, uint64_t length, uint64_t prot, uint64_t flags) {
    const auto result = mm_->Mmap({.addr = addr,
                                   .length = length,
                                   .prot = prot,
                                   .flags = flags | abi::kMapPrivate | abi::kMapAnonymous});
    if (!result.ok()) Fail("mmap");
    return *result;
  }
  void Protect(uint64_t prot) {
    if (!mm_->Mprotect(target_ + kPageSize, kPageSize, prot).ok()) Fail("mprotect");
  }

  std::unique_ptr<Machine> machine_;
  Mm* mm_ = nullptr;
  VirtAddr target_{0};
};

/// The same in this process.
class KernelMm {
 public:
  explicit KernelMm(uint64_t vmas) : crowd_bytes_(vmas * kPageSize) {
    if (vmas != 0) {
      crowd_ = Map(crowd_bytes_);
      for (uint64_t i = 1; i < vmas; i += 2) {
        if (mprotect(crowd_ + i * kPageSize, kPageSize, PROT_READ) != 0) Fail("mprotect");
      }
    }
    target_ = Map(3 * kPageSize);
  }
  ~KernelMm() {
    if (crowd_ != nullptr) munmap(crowd_, crowd_bytes_);
    munmap(target_, 3 * kPageSize);
  }
  KernelMm(const KernelMm&) = delete;
  KernelMm& operator=(const KernelMm&) = delete;

  void MapUnmap() { munmap(Map(kSpan), kSpan); }
  void SplitMerge() {
    mprotect(target_ + kPageSize, kPageSize, PROT_READ);
    mprotect(target_ + kPageSize, kPageSize, PROT_READ | PROT_WRITE);
  }
  void ForkExit() {
    const pid_t child = fork();
    if (child < 0) Fail("fork");
    if (child == 0) _exit(0);
    waitpid(child, nullptr, 0);
  }

 private:
  static char* Map(uint64_t length) {
    void* memory =
        mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) Fail("mmap");
    return static_cast<char*>(memory);
  }

  uint64_t crowd_bytes_;
  char* crowd_ = nullptr;
  char* target_ = nullptr;
};

template <class Side>
Subject SubjectOf(const char* name, std::shared_ptr<Side> side, void (Side::*op)(), int batch) {
  return {.name = name, .body = [side, op, batch](int, const std::atomic<bool>& stop) {
            uint64_t count = 0;
            while (!stop.load(std::memory_order_relaxed)) {
              for (int i = 0; i < batch; ++i) ((*side).*op)();
              count += static_cast<uint64_t>(batch);
            }
            return count;
          }};
}

struct Operation {
  const char* name;
  void (OurMm::*ours)();
  void (KernelMm::*kernel)();
  int batch;
};
constexpr Operation kMapUnmap{"mmap+munmap", &OurMm::MapUnmap, &KernelMm::MapUnmap, 64};
constexpr Operation kSplitMerge{"mprotect split+merge", &OurMm::SplitMerge, &KernelMm::SplitMerge,
                                64};
constexpr Operation kForkExit{"fork+exit", &OurMm::ForkExit, &KernelMm::ForkExit, 1};

enum class Output { kTable, kJson };

class Printer {
 public:
  explicit Printer(Output output) : output_(output) {
    if (output_ == Output::kTable) {
      absl::PrintF("%-22s %9s %12s %12s %8s  %s\n", "operation", "VMAs", "ours ns", "kernel ns",
                   "ratio", "min - max");
    }
  }
  void Pair(const Operation& op, uint64_t vmas, const PairResult& result) const {
    if (output_ == Output::kJson) {
      absl::PrintF(R"({"operation":"%s","vmas":%d,"ours_ns":%.1f,"kernel_ns":%.1f,"ratio":%.4f})"
                   "\n",
                   op.name, vmas, result.subject_ns.median, result.peer_ns.median,
                   result.ratio.median);
    } else {
      absl::PrintF("%-22s %9d %12.1f %12.1f %8.3f  %.3f - %.3f\n", op.name, vmas,
                   result.subject_ns.median, result.peer_ns.median, result.ratio.median,
                   result.ratio.min, result.ratio.max);
    }
    std::fflush(stdout);
  }
  void Alone(const Operation& op, uint64_t vmas, double ns) const {
    if (output_ == Output::kJson) {
      absl::PrintF(R"({"operation":"%s","vmas":%d,"ours_ns":%.1f})"
                   "\n",
                   op.name, vmas, ns);
    } else {
      absl::PrintF("%-22s %9d %12.1f %12s\n", op.name, vmas, ns, "-");
    }
    std::fflush(stdout);
  }

 private:
  Output output_;
};

void Measure(const Operation& op, uint64_t vmas, const PairOptions& options,
             const Printer& printer) {
  const auto ours = SubjectOf("ours", std::make_shared<OurMm>(vmas), op.ours, op.batch);
  if (vmas > kKernelMost) {
    printer.Alone(op, vmas, RunPairs(ours, ours, 1, options).subject_ns.median);
    return;
  }
  const auto kernel = SubjectOf("kernel", std::make_shared<KernelMm>(vmas), op.kernel, op.batch);
  printer.Pair(op, vmas, RunPairs(ours, kernel, 1, options));
}

int Main(int argc, char** argv) {
  PairOptions options;
  Output output = Output::kTable;
  std::vector<uint64_t> sizes{10, 1'000, 60'000, 100'000, 1'000'000};
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--quick") {
      options = {.pairs = 3, .window_seconds = 0.05};
      sizes = {10, 1'000};
    } else if (arg == "--json") {
      output = Output::kJson;
    } else {
      absl::FPrintF(stderr, "mm_bench: unknown option '%s'; the options are: --quick --json\n",
                    argv[i]);
      return 2;
    }
  }
  SetLockdep(false);  // on by default in checked builds
  Rcu::Barrier();     // starts RCU's thread while nothing is pinned: it inherits that
  const Printer printer(output);
  for (const uint64_t vmas : sizes) Measure(kMapUnmap, vmas, options, printer);
  for (const uint64_t vmas : sizes) Measure(kSplitMerge, vmas, options, printer);
  Measure(kForkExit, 1'000, options, printer);
  return 0;
}

}  // namespace
}  // namespace faultline::bench

int main(int argc, char** argv) { return faultline::bench::Main(argc, argv); }

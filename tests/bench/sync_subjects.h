// SPDX-License-Identifier: Apache-2.0
//
// The locks that sync_bench compares, ours and their peers, behind one interface, and the
// operations that are measured on them: take, one load or one increment, release.
//
// Invariant: each subject and its data lie kApart from everything else that is written.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <shared_mutex>

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <benchmark/benchmark.h>

#include "core/sync/sync.h"
#include "tests/bench/pairs.h"

// The adapters take and release in separate functions, which the analysis cannot follow; all
// callers are the operations below.
#define BENCH_UNCHECKED ABSL_NO_THREAD_SAFETY_ANALYSIS

namespace faultline::bench {

// -- Locks ----------------------------------------------------------------------------------------

struct NoLock {
  static constexpr const char* kName = "plain";
  void Lock() {}
  void Unlock() {}
  void LockShared() {}
  void UnlockShared() {}
};

struct OurSpinLock {
  static constexpr const char* kName = "SpinLock";
  SpinLock<LockRank::kTestInner> lock;
  void Lock() BENCH_UNCHECKED { lock.Lock(); }
  void Unlock() BENCH_UNCHECKED { lock.Unlock(); }
};

struct PthreadSpinLock {
  static constexpr const char* kName = "pthread_spinlock";
  pthread_spinlock_t lock;
  PthreadSpinLock() { pthread_spin_init(&lock, PTHREAD_PROCESS_PRIVATE); }
  void Lock() { pthread_spin_lock(&lock); }
  void Unlock() { pthread_spin_unlock(&lock); }
};

struct OurMutex {
  static constexpr const char* kName = "Mutex";
  Mutex<LockRank::kTestOuter> lock;
  void Lock() BENCH_UNCHECKED { lock.Lock(); }
  void Unlock() BENCH_UNCHECKED { lock.Unlock(); }
};

struct StdMutex {
  static constexpr const char* kName = "std::mutex";
  std::mutex lock;
  void Lock() { lock.lock(); }
  void Unlock() { lock.unlock(); }
};

struct AbslMutex {
  static constexpr const char* kName = "absl::Mutex";
  absl::Mutex lock;
  void Lock() BENCH_UNCHECKED { lock.Lock(); }
  void Unlock() BENCH_UNCHECKED { lock.Unlock(); }
  void LockShared() BENCH_UNCHECKED { lock.ReaderLock(); }
  void UnlockShared() BENCH_UNCHECKED { lock.ReaderUnlock(); }
};

struct OurRwSem {
  static constexpr const char* kName = "RwSem fair";
  RwSem<LockRank::kTestOuter> lock;
  OurRwSem() = default;
  explicit OurRwSem(const RwSemPolicy& policy) : lock(policy) {}
  void Lock() BENCH_UNCHECKED { lock.Lock(); }
  void Unlock() BENCH_UNCHECKED { lock.Unlock(); }
  void LockShared() BENCH_UNCHECKED { lock.LockShared(); }
  void UnlockShared() BENCH_UNCHECKED { lock.UnlockShared(); }
};

struct OurUnfairRwSem : OurRwSem {
  static constexpr const char* kName = "RwSem unfair";
  OurUnfairRwSem() : OurRwSem(RwSemPolicy{.fair = false}) {}
};

struct StdSharedMutex {
  static constexpr const char* kName = "std::shared_mutex";
  std::shared_mutex lock;
  void Lock() { lock.lock(); }
  void Unlock() { lock.unlock(); }
  void LockShared() { lock.lock_shared(); }
  void UnlockShared() { lock.unlock_shared(); }
};

/// A reader-writer lock of the C library that prefers writers, as a fair RwSem does.
struct PthreadRwLock {
  static constexpr const char* kName = "pthread_rwlock";
  pthread_rwlock_t lock;
  PthreadRwLock() {
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
  }
  void Lock() { pthread_rwlock_wrlock(&lock); }
  void Unlock() { pthread_rwlock_unlock(&lock); }
  void LockShared() { pthread_rwlock_rdlock(&lock); }
  void UnlockShared() { pthread_rwlock_unlock(&lock); }
};

struct OurRcu {
  static constexpr const char* kName = "RcuGuard";
  void LockShared() { Rcu::ReadLock(); }
  void UnlockShared() { Rcu::ReadUnlock(); }
};

struct RawUrcu {
  static constexpr const char* kName = "urcu-memb";
  void LockShared() { urcu_memb_read_lock(); }
  void UnlockShared() { urcu_memb_read_unlock(); }
};

// -- Operations -----------------------------------------------------------------------------------

template <class Lock>
struct Shared {
  template <class... Args>
  explicit Shared(const Args&... args) : lock(args...) {}
  alignas(kApart) Lock lock;
  alignas(kApart) std::atomic<uint64_t> data{0};  // relaxed throughout: the lock orders it
};

/// The one instance that all threads of a benchmark share.
template <class Lock>
Shared<Lock>& SharedOf() {
  static Shared<Lock> shared;
  return shared;
}

template <class Lock>
class ReadOp {
 public:
  ReadOp(Shared<Lock>& shared, int /*thread*/) : shared_(shared) {}
  void operator()() {
    shared_.lock.LockShared();
    benchmark::DoNotOptimize(shared_.data.load(std::memory_order_relaxed));
    shared_.lock.UnlockShared();
  }

 private:
  Shared<Lock>& shared_;
};

template <class Lock>
class WriteOp {
 public:
  WriteOp(Shared<Lock>& shared, int /*thread*/) : shared_(shared) {}
  void operator()() {
    shared_.lock.Lock();
    const uint64_t seen = shared_.data.load(std::memory_order_relaxed);
    shared_.data.store(seen + 1, std::memory_order_relaxed);
    shared_.lock.Unlock();
  }

 private:
  Shared<Lock>& shared_;
};

/// Reads, with a write now and then, holding the lock for some work and working outside of it, too.
template <class Lock>
class MixedOp {
 public:
  /// `work` is in dependent multiplications, each about a nanosecond.
  MixedOp(Shared<Lock>& shared, int thread, uint32_t writes_per_mille, int work)
      : shared_(shared),
        random_(0x9e3779b97f4a7c15u * static_cast<uint64_t>(thread + 1)),
        writes_per_mille_(writes_per_mille),
        work_(work) {}
  void operator()() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    if (random_ % 1000 < writes_per_mille_) {
      shared_.lock.Lock();
      Work();
      shared_.data.store(random_, std::memory_order_relaxed);
      shared_.lock.Unlock();
    } else {
      shared_.lock.LockShared();
      Work();
      benchmark::DoNotOptimize(shared_.data.load(std::memory_order_relaxed));
      shared_.lock.UnlockShared();
    }
    Work();
  }

 private:
  void Work() {
    uint64_t value = random_;
    for (int i = 0; i < work_; ++i) benchmark::DoNotOptimize(value *= 0x9e3779b97f4a7c15u);
  }

  Shared<Lock>& shared_;
  uint64_t random_;
  const uint32_t writes_per_mille_;
  const int work_;
};

}  // namespace faultline::bench

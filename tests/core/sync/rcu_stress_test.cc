// SPDX-License-Identifier: Apache-2.0
//
// Stress of what readers use without a lock: RCU, sequence counts, type-stable slots. Objects that
// a grace period protects hold plain data, so ThreadSanitizer and AddressSanitizer see a reader
// that was not waited for.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "tests/core/sync/stress.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

struct Node {
  explicit Node(int64_t v) : value(v), twice(2 * v) { ++live; }
  ~Node() {
    value = -1;  // a reader that is still here sees it, and so does ThreadSanitizer
    twice = 0;
    --live;
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  static void Delete(RcuHead* head) { delete reinterpret_cast<Node*>(head); }

  RcuHead rcu_head;  // first: the callback gets its address
  int64_t value;
  int64_t twice;
  static inline std::atomic<int64_t> live{0};
};

/// Readers follow a pointer until the writers are done; returns how often they did.
template <class Write>
int64_t ReadWhile(RcuPtr<Node>& pointer, int readers, int writers, const Write& write) {
  std::atomic<int> writing{writers};
  std::atomic<int64_t> reads{0};
  RunTogether(readers + writers, [&](int thread) {
    if (thread < writers) {
      write(thread);
      --writing;
      return;
    }
    do {
      const RcuGuard guard;
      const RcuRef<Node> node = pointer.Read();
      const int64_t value = node->value;
      ASSERT_GE(value, 0);
      {
        const RcuGuard nested;
        ASSERT_EQ(node->twice, 2 * value);
      }
      ASSERT_EQ(node->value, value);
      ++reads;
    } while (writing != 0);
  });
  return reads;
}

class RcuStressTest : public ::testing::TestWithParam<int> {
 protected:
  RcuPtr<Node> pointer_{new Node(0)};
  Mutex<LockRank::kTestMiddle> writers_;

  ~RcuStressTest() override {
    Rcu::Barrier();
    delete pointer_.LoadLocked();
    EXPECT_EQ(Node::live, 0);
  }
  Node* Replace(Node* fresh) {
    const LockGuard guard(writers_);
    Node* old = pointer_.LoadLocked();
    pointer_.Publish(fresh);
    return old;
  }
};
INSTANTIATE_TEST_SUITE_P(Readers, RcuStressTest, ::testing::Values(1, 3, 6));

TEST_P(RcuStressTest, RetiredObjectsOutliveTheirReaders) {
  const int64_t reads = ReadWhile(pointer_, GetParam(), /*writers=*/2, [&](int) {
    for (int i = 0; i < StressRounds(20'000); ++i) {
      Rcu::Retire(Replace(new Node(i))->rcu_head, &Node::Delete);
    }
  });
  EXPECT_GT(reads, 0);
}

TEST_P(RcuStressTest, SynchronizeProtectsAFreeByTheWriterItself) {
  const int64_t reads = ReadWhile(pointer_, GetParam(), /*writers=*/2, [&](int) {
    for (int i = 0; i < StressRounds(30); ++i) {
      Node* old = Replace(new Node(i));
      Rcu::Synchronize();
      delete old;
    }
  });
  EXPECT_GT(reads, 0);
}

TEST_P(RcuStressTest, ThreadsComeAndGoWhileOthersWaitForThem) {
  (void)ReadWhile(pointer_, GetParam(), /*writers=*/2, [&](int writer) {
    for (int i = 0; i < StressRounds(100); ++i) {
      if (writer == 0) {
        Rcu::Retire(Replace(new Node(i))->rcu_head, &Node::Delete);
        if (i % 10 == 0) Rcu::Synchronize();
      } else {
        std::thread visitor([&] {
          const RcuGuard guard;
          ASSERT_GE(pointer_.Read()->value, 0);
        });
        visitor.join();
      }
    }
  });
}

TEST(SeqCountStressTest, ReadersSeePairsThatBelongTogether) {
  constexpr int kWriters = 2;
  constexpr int kReaders = 3;
  const int rounds = StressRounds(100'000);
  SpinLock<LockRank::kTestInner> lock;
  SeqCount seq;
  Atomic<uint64_t> first{0};
  Atomic<uint64_t> second{0};
  std::atomic<int> writing{kWriters};
  std::atomic<int64_t> validated{0};
  RunTogether(kWriters + kReaders, [&](int thread) {
    if (thread < kWriters) {
      for (int i = 0; i < rounds; ++i) {
        const LockGuard guard(lock);
        const SeqWriteGuard write(seq);
        const uint64_t next = first.Load(kRelaxed) + 1;
        first.Store(next, kRelaxed);
        second.Store(~next, kRelaxed);
      }
      --writing;
      return;
    }
    uint64_t last = 0;
    while (writing != 0) {
      uint64_t note = 0;
      if (thread % 2 == 0) {
        note = seq.ReadBegin();
      } else if (!seq.TryReadBegin(note)) {
        continue;
      }
      const uint64_t a = first.Load(kRelaxed);
      const uint64_t b = second.Load(kRelaxed);
      if (seq.ReadRetry(note)) continue;
      ASSERT_EQ(b, a == 0 ? 0 : ~a);
      ASSERT_GE(a, last);  // the count only grows, and so does what it guards
      last = a;
      ++validated;
    }
  });
  EXPECT_EQ(first.Peek(), uint64_t{kWriters} * static_cast<uint64_t>(rounds));
  EXPECT_EQ(seq.value(), 2 * first.Peek());
  std::printf("%lld reads were valid\n", static_cast<long long>(validated.load()));
}

// -- Type-stable slots (B15)
// ------------------------------------------------------------------------

/// A VMA in miniature. `owner` and `key` may be looked at through a stale pointer, so they are
/// atomics; `data` is plain and guarded by the count.
struct Slot {
  Atomic<uint32_t> refcount{0};
  Atomic<uint32_t> owner{0};
  Atomic<uint64_t> key{0};
  uint64_t data = 0;

  [[maybe_unused]] void VisitStableFields(auto&& visit) { visit(refcount); }

  /// Takes a count unless the slot is free.
  bool TryGet() {
    uint32_t count = refcount.Load(kRelaxed);
    while (count != 0) {
      // Acquire pairs with the release in Attach.
      if (refcount.CompareExchange(count, count + 1, kAcquire, kRelaxed)) return true;
    }
    return false;
  }
  /// True if that was the last one.
  bool Put() { return refcount.FetchSub(1, kAcqRel) == 1; }
};

class RecyclingTable {
 public:
  static constexpr size_t kKeys = 4;

  explicit RecyclingTable(Heap& heap) : slab_(heap) {}
  ~RecyclingTable() {
    for (uint64_t key = 0; key < kKeys; ++key) Remove(key);
  }
  RecyclingTable(const RecyclingTable&) = delete;
  RecyclingTable& operator=(const RecyclingTable&) = delete;

  void Insert(uint64_t key, uint32_t owner) {
    Slot* slot = *slab_.Allocate();
    slot->owner.Store(owner, kRelaxed);
    slot->key.Store(key, kRelaxed);
    slot->data = key * 1000 + owner;
    slot->refcount.Store(1, kRelease);  // pairs with TryGet
    entries_[key].Publish(slot);
  }
  void Remove(uint64_t key) {
    Slot* slot = entries_[key].LoadLocked();
    if (slot == nullptr) return;
    entries_[key].Publish(nullptr);
    if (slot->Put()) slab_.Free(slot);
  }
  /// What the reader does: take the count, then look again whose it is (B15). True if it was.
  bool Lookup(uint64_t key) {
    const RcuGuard guard;
    const RcuRef<Slot> found = entries_[key].Read();
    if (!found) return false;
    StableRef<Slot> ref(found.get());
    if (!ref->TryGet()) return false;
    ref.Adopt();
    const bool is_mine = ref->key.Load(kRelaxed) == key;
    if (is_mine) {
      EXPECT_EQ(ref->data, key * 1000 + ref->owner.Load(kRelaxed));
    }
    if (ref->Put()) slab_.Free(ref.get());
    return is_mine;
  }

 private:
  TypeStableSlab<Slot> slab_;
  std::array<RcuPtr<Slot>, kKeys> entries_;
};

TEST(TypeStableStressTest, CountThenCheckNeverMistakesARecycledSlot) {
  constexpr int kReaders = 3;
  const int rounds = StressRounds(50'000);
  const uint64_t seed = StressSeed();
  Arena arena = *Arena::Create(size_t{1} << 20);
  Heap heap(arena);
  std::atomic<int> writing{static_cast<int>(RecyclingTable::kKeys)};
  std::atomic<int64_t> hits{0};
  {
    RecyclingTable table(heap);
    // One writer for each key; they swap slots through the slab.
    RunTogether(static_cast<int>(RecyclingTable::kKeys) + kReaders, [&](int thread) {
      if (thread < static_cast<int>(RecyclingTable::kKeys)) {
        const auto key = static_cast<uint64_t>(thread);
        for (int i = 0; i < rounds; ++i) {
          table.Insert(key, static_cast<uint32_t>(i));
          table.Remove(key);
        }
        table.Insert(key, 1);
        --writing;
        return;
      }
      std::mt19937_64 random(seed + static_cast<uint64_t>(thread));
      do {
        hits += table.Lookup(random() % RecyclingTable::kKeys) ? 1 : 0;
      } while (writing != 0);
    });
    for (uint64_t key = 0; key < RecyclingTable::kKeys; ++key) EXPECT_TRUE(table.Lookup(key));
  }
  std::printf("%lld lookups found their slot\n", static_cast<long long>(hits.load()));
  // All slots went back: the slab had no more of them than could be in use at once.
  EXPECT_LE(arena.used(), size_t{64} * (RecyclingTable::kKeys + kReaders + 1));
}

}  // namespace
}  // namespace faultline

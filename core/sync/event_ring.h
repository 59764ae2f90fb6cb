// SPDX-License-Identifier: Apache-2.0
//
// EventRing: the last records of one task, for anybody to look at while it goes on (Linux: the ring
// buffer of ftrace, kernel/trace/ring_buffer.c, in its overwriting mode). The writer never waits,
// locks or allocates; a reader that is too slow loses records and learns how many.
//
// Each slot carries the ticket of its record, odd while it is being written. A reader takes a slot
// only if it found the finished ticket that it came for before and after copying it. What it copies
// are words that are atomics, so that a torn copy is no data race, only a copy thrown away.
// Like StatCounter it is no part of the machine under test, hence no scheduling point.
//
// Guarantees: a torn record is never returned; the records of a snapshot are consecutive but for
// those that were overwritten during it; written = returned + lost,
// counted from the record that was asked for.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

#include "core/base/build.h"
#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Records are plain data, copied word by word.
template <class Record>
class EventRing {
  static_assert(std::is_trivially_copyable_v<Record>);

 public:
  /// What a reader got.
  struct Snapshot {
    std::vector<Record> records;  ///< oldest first
    uint64_t lost = 0;            ///< written before the snapshot began, and not among `records`
    uint64_t next = 0;            ///< the number of the record that comes next
  };

  /// `capacity` is a power of two.
  explicit EventRing(size_t capacity)
      : slots_(std::make_unique<Slot[]>(capacity)), mask_(capacity - 1) {
    MM_CHECK(std::has_single_bit(capacity));
  }
  EventRing(const EventRing&) = delete;
  EventRing& operator=(const EventRing&) = delete;

  [[nodiscard]] size_t capacity() const { return mask_ + 1; }
  /// How many records there have been.
  [[nodiscard]] uint64_t written() const { return written_.load(std::memory_order_acquire); }

  /// Adds a record in place of the oldest. One task at a time; callable in any context.
  void Write(const Record& record) {
    const uint64_t number = written_.load(std::memory_order_relaxed);  // only the writer stores
    Slot& slot = slots_[number & mask_];
    Words words{};
    std::memcpy(words.data(), &record, sizeof(Record));
    // Relaxed: the release of the first word already keeps this before it.
    slot.ticket.store(Finished(number) - 1, std::memory_order_relaxed);
    // Release, each: whoever sees a word of this record also sees that its slot is being written.
    for (size_t i = 0; i < kWords; ++i) {
      slot.words[i].store(words[i], std::memory_order_release);  // pairs with Read
    }
    slot.ticket.store(Finished(number), std::memory_order_release);  // pairs with Read
    written_.store(number + 1, std::memory_order_release);           // pairs with Take
  }

  /// The last record, if there is one and it is not being overwritten. From any task at any time.
  [[nodiscard]] std::optional<Record> Last() const {
    const uint64_t end = written();
    if (end == 0) return {};
    return Read(end - 1);
  }

  /// The last records from number `from` on, which is at most written(), and at most capacity() of
  /// them. From any task at any time.
  [[nodiscard]] Snapshot Take(uint64_t from = 0) const {
    Snapshot snapshot;
    const uint64_t end = written();  // acquire: the slots of all before it are finished or newer
    const uint64_t begin = std::max(from, end > capacity() ? end - capacity() : 0);
    snapshot.records.reserve(end - begin);
    for (uint64_t number = begin; number < end; ++number) {
      if (const std::optional<Record> record = Read(number)) snapshot.records.push_back(*record);
    }
    snapshot.lost = end - from - snapshot.records.size();
    snapshot.next = end;
    return snapshot;
  }

 private:
  static constexpr size_t kWords = (sizeof(Record) + sizeof(uint64_t) - 1) / sizeof(uint64_t);
  using Words = std::array<uint64_t, kWords>;
  struct alignas(kCacheLine) Slot {
    std::atomic<uint64_t> ticket{0};
    std::array<std::atomic<uint64_t>, kWords> words{};
  };

  /// The ticket of a slot that holds record `number`; one less while it is being written.
  static uint64_t Finished(uint64_t number) { return 2 * number + 2; }

  /// Record `number`, unless it is or becomes overwritten.
  std::optional<Record> Read(uint64_t number) const {
    const Slot& slot = slots_[number & mask_];
    // Acquire pairs with Write's last store of the ticket: the words are this record's or newer.
    if (slot.ticket.load(std::memory_order_acquire) != Finished(number)) return {};
    Words words;
    // Acquire pairs with the words of a newer record: then the ticket below is newer, too.
    for (size_t i = 0; i < kWords; ++i) words[i] = slot.words[i].load(std::memory_order_acquire);
    // Relaxed: the acquire of the words keeps this after them.
    if (slot.ticket.load(std::memory_order_relaxed) != Finished(number)) return {};
    Record record;
    // Not by bit_cast: sizes differ by what fills up the last word.
    std::memcpy(static_cast<void*>(&record), words.data(), sizeof(Record));
    return record;
  }

  std::unique_ptr<Slot[]> slots_;
  size_t mask_;
  std::atomic<uint64_t> written_{0};
};

}  // namespace faultline

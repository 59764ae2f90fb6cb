// SPDX-License-Identifier: Apache-2.0
//
// Watch: a server stream that says something again and again, until its client or what it is about
// has gone, or the server drains (ObserveService: WatchStatistics, WatchFaultEvents).
//
// Its life is a circle of which only one part is under way at any time: make messages, on a thread
// of WatchStreams; write them, one after the other; wait for the alarm. Whoever wants it to end
// says so and cuts the wait short; the circle then comes by and finishes. So a client that reads
// too slowly gets fewer messages, and nothing piles up. Deletes itself when gRPC says that all is
// done.
//
// Headers are sent at once: a client that has them knows that nothing is missed from there on.
//
// Locks: WatchStreams' mutex is outside those of the streams.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>
#include <grpcpp/alarm.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "server/refusal.h"
#include "server/unary.h"
#include "server/worker_pool.h"

namespace faultline::server {

/// One that a drain ends.
class WatchStream {
 public:
  virtual ~WatchStream() = default;
  virtual void Drain() = 0;
};

/// All that are under way, and the threads that make their messages: few, since that waits for
/// nobody, and not those of unary calls, which may all be asleep when somebody wants to see why.
class WatchStreams {
 public:
  WatchStreams() = default;
  WatchStreams(const WatchStreams&) = delete;
  WatchStreams& operator=(const WatchStreams&) = delete;

  /// Ends all, and those that come, with DRAINING.
  void Drain() ABSL_LOCKS_EXCLUDED(mutex_);

  void Add(WatchStream& stream) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(WatchStream& stream) ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] WorkerPool& makers() { return makers_; }

 private:
  static constexpr size_t kThreads = 2;

  WorkerPool makers_{{.max_threads = kThreads, .max_queue = 0, .name = "watch"}};
  absl::Mutex mutex_;
  std::set<WatchStream*> streams_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

/// What is said at one time. With `last` the stream ends behind it, well or with the refusal.
template <class Response>
struct WatchLot {
  // NOLINTBEGIN(readability-redundant-member-init): GCC wants them to be left out at will
  std::vector<Response> messages = {};
  bool last = false;
  MaybeRefusal refusal = {};
  // NOLINTEND(readability-redundant-member-init)
};

template <class Response>
class Watch final : public grpc::ServerWriteReactor<Response>, public WatchStream {
 public:
  using Make = std::function<WatchLot<Response>()>;

  /// The first lot is made at once, others when `interval` has passed since the one before was
  /// written. `refusal`: it ends with that, and nothing is made. All outlive it.
  Watch(Calls& calls, WatchStreams& streams, absl::Duration interval, Make make,
        MaybeRefusal refusal)
      : calls_(calls), streams_(streams), interval_(interval), make_(std::move(make)) {
    streams_.Add(*this);
    if (refusal) {
      End(std::move(refusal));
      GoOn();
    } else {
      this->StartSendInitialMetadata();
      PostMaking();
    }
  }

  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      const absl::MutexLock lock(&mutex_);
      ++written_;
      if (!ok) EndLocked({}, Rest::kDrop);  // nobody is there to read the rest
    }
    GoOn();
  }
  void OnCancel() override ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    EndLocked({}, Rest::kDrop);
  }
  void OnDone() override {
    streams_.Remove(*this);
    delete this;
  }
  void Drain() override ABSL_LOCKS_EXCLUDED(mutex_) { End(Draining()); }

 private:
  enum class Rest : uint8_t { kWrite, kDrop };
  enum class Step : uint8_t { kWrite, kFinish, kWait };

  void End(MaybeRefusal why) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    EndLocked(std::move(why), Rest::kWrite);
  }
  void EndLocked(MaybeRefusal why, Rest rest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!ending_) status_ = std::move(why);
    ending_ = true;
    if (rest == Rest::kDrop) written_ = messages_.size();
    if (alarm_ != nullptr) alarm_->Cancel();
  }

  void PostMaking() {
    streams_.makers().Post([this] { MakeSome(); });
  }
  void MakeSome() ABSL_LOCKS_EXCLUDED(mutex_) {
    WatchLot<Response> lot = make_();
    for (Response& message : lot.messages) {
      message.set_instance_epoch(calls_.registry().epoch().value());
    }
    {
      const absl::MutexLock lock(&mutex_);
      if (!ending_) {
        messages_ = std::move(lot.messages);
        written_ = 0;
        if (lot.last) EndLocked(std::move(lot.refusal), Rest::kWrite);
      }
    }
    GoOn();
  }

  /// To the next part of the circle.
  void GoOn() ABSL_LOCKS_EXCLUDED(mutex_) {
    MaybeRefusal status;
    const Response* message = nullptr;
    Step step = Step::kWait;
    {
      const absl::MutexLock lock(&mutex_);
      step = NextLocked();
      if (step == Step::kWrite) message = &messages_[written_];
      if (step == Step::kFinish) status = status_;
    }
    // The last step: with its end gRPC may delete this.
    if (step == Step::kWrite) this->StartWrite(message);
    if (step == Step::kFinish) this->Finish(calls_.StatusOf(status));
  }
  Step NextLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (written_ < messages_.size()) return Step::kWrite;
    if (ending_) return Step::kFinish;
    // A new one each time, since one that has rung is of no more use.
    alarm_ = std::make_unique<grpc::Alarm>();
    alarm_->Set(absl::ToChronoTime(absl::Now() + interval_), [this](bool) { Rang(); });
    return Step::kWait;
  }
  void Rang() ABSL_LOCKS_EXCLUDED(mutex_) {
    bool ending = false;
    {
      const absl::MutexLock lock(&mutex_);
      ending = ending_;
    }
    if (ending) {
      GoOn();
    } else {
      PostMaking();
    }
  }

  Calls& calls_;
  WatchStreams& streams_;
  const absl::Duration interval_;
  const Make make_;
  absl::Mutex mutex_;
  std::vector<Response> messages_ ABSL_GUARDED_BY(mutex_);
  size_t written_ ABSL_GUARDED_BY(mutex_) = 0;  ///< of messages_; the next one may be under way
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  MaybeRefusal status_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Alarm> alarm_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace faultline::server

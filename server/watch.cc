// SPDX-License-Identifier: Apache-2.0
//
// The list of streams that watch; see watch.h.
#include "server/watch.h"

namespace faultline::server {

void WatchStreams::Drain() {
  const absl::MutexLock lock(&mutex_);
  draining_ = true;
  for (WatchStream* stream : streams_) stream->Drain();
}

void WatchStreams::Add(WatchStream& stream) {
  const absl::MutexLock lock(&mutex_);
  streams_.insert(&stream);
  if (draining_) stream.Drain();
}

void WatchStreams::Remove(WatchStream& stream) {
  const absl::MutexLock lock(&mutex_);
  streams_.erase(&stream);
}

}  // namespace faultline::server

// SPDX-License-Identifier: Apache-2.0
//
// Taking frames in and giving them back; see ballast.h. Claims are made on one word, `held_`, so
// that no lock is needed and GiveBack may be called from anywhere; the frames themselves go the
// allocator's way.
#include "core/machine/ballast.h"

#include <algorithm>

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

Result<void> Ballast::Fill(uint64_t frames, Gfp gfp) {
  const uint64_t before = held_.Load(kRelaxed);  // relaxed: nobody else is there
  stack_.resize(before);
  stack_.reserve(before + frames);
  for (uint64_t i = 0; i < frames; ++i) {
    const Result<Folio*> folio = frames_.Allocate(FrameUse::kAnon, gfp);
    if (!folio.ok()) {
      for (; stack_.size() > before; stack_.pop_back()) frames_.Put(*stack_.back());
      return folio.error();
    }
    stack_.push_back(*folio);
  }
  // Relaxed: whoever makes this known to the tasks that take back orders it.
  held_.Store(before + frames, kRelaxed);
  return {};
}

uint64_t Ballast::GiveBack(uint64_t frames) {
  uint64_t held = held_.Load(kRelaxed);
  uint64_t left = 0;
  do {
    if (held == 0 || frames == 0) return 0;
    left = held - std::min(frames, held);
    // Relaxed, all three: the word only says whose a frame is; the stack does not change.
  } while (!held_.CompareExchange(held, left, kRelaxed, kRelaxed));
  for (uint64_t i = left; i < held; ++i) frames_.Put(*stack_[i]);
  frames_.DrainLocal();
  return held - left;
}

uint64_t Ballast::DirectReclaim(uint64_t frames) {
  const uint64_t given = GiveBack(frames);
  reclaimed_.Add(static_cast<int64_t>(given));
  return given;
}

}  // namespace faultline

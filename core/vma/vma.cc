// SPDX-License-Identifier: Apache-2.0
//
// The two ends of a VMA's life in its mm: Init and Detach. See vma.h.
//
// Both count in the sequence, so that a reader who copied the fields of a slot before it was given
// to another mapping notices, even if the new one has the same addresses (B15, B21).
#include "core/vma/vma.h"

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

void Vma::Init(Mm& mm, VirtRange range, VmaFlags flags, Mapping* mapping, PageIndex pgoff) {
  // The slot may have been poisoned while it was free.
  ListNode<InMapping>::Reinitialize();
  ListNode<OnRemoval>::Reinitialize();
  chains_.Reinitialize();
  SetRange(range, pgoff);
  SetFlags(flags);
  SetMapping(mapping);
  SetOpenFile(0);
  SetAnonVma(nullptr);
  marked_in_ = 0;
  // Release: pairs with sequence(). The fields above are seen by whoever sees the new count.
  sequence_.FetchAdd(1, kAcqRel);
  mm_.Store(&mm, kRelease);  // pairs with a reader's check of mm() after it took a count
}

void Vma::Detach() {
  MM_DCHECK(chains_.empty() && !ListNode<InMapping>::is_linked());
  mm_.Store(nullptr, kRelease);  // as in Init
  sequence_.FetchAdd(1, kAcqRel);
}

}  // namespace faultline

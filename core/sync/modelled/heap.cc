// SPDX-License-Identifier: Apache-2.0
//
// The modelled object heap; see core/sync/heap.h. Taking and giving back memory are no scheduling
// points: nothing can happen between them and the step that they belong to which could not as well
// happen before or after that step.
#include "core/sync/heap.h"

#include "core/sync/modelled/execution.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

Heap::~Heap() = default;

Result<void*> Heap::Allocate(size_t size, size_t align, SourceLoc where)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {  // one fiber at a time
  if (InjectedFailure()) return Errno::kEnomem;
  Execution* execution = Execution::Current();
  if (execution == nullptr) return arena_.Allocate(size, align);
  void* piece = execution->Allocate(size, align, where);
  if (piece == nullptr) return Errno::kEnomem;
  return piece;
}

void Heap::Free(void* piece, size_t size, size_t /*align*/, SourceLoc where) {
  if (Execution* execution = Execution::Current()) execution->Free(piece, size, where);
}

}  // namespace faultline

// SPDX-License-Identifier: Apache-2.0
//
// `Speculate`: copying fields of an object that may be recycled meanwhile, and using the copy only
// if a sequence count says afterwards that nothing happened (the VMA copy of the speculative
// page-fault series; schemes spf_mm_seq and spf_vma_seq).
//
//   Speculate<Vma, VmaView> copy(ref);             // opens the scope
//   copy.draft().start = ref->start.Load(kRelaxed);
//   if (!copy.Validate(!seq.ReadRetry(note))) return retry;   // ends the scope
//   use(copy.value());
//
// Within the scope loads through `ref` are legal whatever became of the object. A scope ends in
// Validate or Abandon. The modelled build reports a scope that ends in neither, a value used from a
// scope that did not validate, and a validation that said "unchanged" of a recycled object.
#pragma once

#include "core/sync/type_stable.h"

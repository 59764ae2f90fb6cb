// SPDX-License-Identifier: Apache-2.0
//
// Everything of the sync seam that the core uses, in one include. All shared mutable state of the
// core goes through these types (DESIGN: the sync seam); there is no std::mutex, std::atomic or
// thread_local in core outside of this folder.
#pragma once

// IWYU pragma: begin_exports
#include "core/sync/atomic.h"
#include "core/sync/completion.h"
#include "core/sync/fail_points.h"
#include "core/sync/guards.h"
#include "core/sync/heap.h"
#include "core/sync/lock_rank.h"
#include "core/sync/lockdep.h"
#include "core/sync/mutex.h"
#include "core/sync/per_cpu.h"
#include "core/sync/rcu.h"
#include "core/sync/rw_sem.h"
#include "core/sync/seq_count.h"
#include "core/sync/speculate.h"
#include "core/sync/spin.h"
#include "core/sync/spin_lock.h"
#include "core/sync/task.h"
#include "core/sync/type_stable.h"
#include "core/sync/wait_queue.h"
#include "core/sync/work.h"
// IWYU pragma: end_exports

// SPDX-License-Identifier: Apache-2.0
//
// The life of an mm (Linux: mm_users and mm_count, mmput, exit_mmap; B22). Users call it; the last
// one to leave tears it down. The count keeps its memory for those who only remember it; all users
// together have one.
//
// Exit is what a fatal signal to the whole process is: no new users, and killable waits of the
// attached tasks end. It is no teardown: that waits for calls in flight.
#include <algorithm>

#include "core/mm/vma_removal.h"
#include "core/pgtable/range_ops.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool Mm::AddUser() {
  if (dying_.Load(kAcquire) != 0) return false;  // pairs with Exit
  uint32_t users = users_.Load(kRelaxed);        // relaxed: the exchange checks it
  while (users != 0) {
    // Acquire: a user sees what earlier users did. Relaxed on failure: only tried again.
    if (users_.CompareExchange(users, users + 1, kAcquire, kRelaxed)) return true;
  }
  return false;
}

void Mm::DropUser() {
  // Release: our calls come before the teardown; acquire: the teardown after all calls.
  if (users_.FetchSub(1, kAcqRel) != 1) return;
  services_.mms.Remove(*this);
  TearDown();
  Put();
}

void Mm::FreeMemory() {
  Heap& heap = services_.heap;
  this->~Mm();
  heap.Free(this, sizeof(Mm), alignof(Mm));
}

void Mm::Exit() {
  dying_.Store(1, kRelease);  // pairs with AddUser and AttachTask
  const LockGuard guard(tasks_lock_);
  for (Task* task : tasks_) task->Kill();
}

void Mm::AttachTask(Task& task) {
  const LockGuard guard(tasks_lock_);
  tasks_.push_back(&task);
  if (dying_.Load(kAcquire) != 0) task.Kill();  // pairs with Exit
}

void Mm::DetachTask(Task& task) {
  const LockGuard guard(tasks_lock_);
  std::erase(tasks_, &task);
}

size_t Mm::attached_tasks() {
  const LockGuard guard(tasks_lock_);
  return tasks_.size();
}

/// Linux: exit_mmap. Nobody else uses the mm, and nobody can wait for this task: it is not
/// killable.
void Mm::TearDown() {
  const ActivityScope activity(Activity::kExit);
  // A task that was killed still has to clean up, so the wait for the lock cannot be killable; it
  // would not be a wait, either, since there is no other user.
  MmWriter writer(*this, MmWriter::Unkillable{});
  VmaEditor editor(writer);
  const VirtRange everything(VirtAddr(0), tables_.task_size());
  TlbGather gather(services_.frames, services_.heap, services_.tlbs, tlb_);
  IntrusiveList<Vma, OnRemoval> vmas;
  for (Vma* vma = editor.FindFrom(VirtAddr(0)); vma != nullptr; vma = editor.Next(*vma)) {
    writer.Mark(*vma);
    vmas.push_back(*vma);
  }
  for (Vma& vma : vmas) {
    vma.Detach();
    ZapRange(tables_, gather, vma.range(), {.drop_markers = true});
    editor.UnlinkRmap(vma);
  }
  FreeTables(tables_, gather, everything, VirtAddr(0), VirtAddr(0));
  gather.Finish();
  // The tree goes with the mm; its readers, inside RCU sections, find VMAs that are detached.
  while (Vma* vma = vmas.pop_front()) editor.Free(*vma);
}

}  // namespace faultline

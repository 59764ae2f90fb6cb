// SPDX-License-Identifier: Apache-2.0
//
// Maps from the host's numbers to indices. A pid is kept while its process has live threads.
//
// References to entries of a hash map end with the next insertion, so each function looks up what
// it returns as its last step.
#include "client/recording/table_builder.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

#include "client/recording/recording.h"

namespace faultline::client {
namespace {

constexpr uint64_t kMapFixed = 0x10;

uint32_t SizeOf(const auto& table) { return static_cast<uint32_t>(table.size()); }

}  // namespace

LiveThread& TableBuilder::Of(uint32_t pid, uint32_t tid, std::string_view comm, uint64_t time_ns) {
  const auto found = live_.find(tid);
  if (found != live_.end()) return found->second;
  const auto process = processes_.find(pid);
  if (process != processes_.end()) return AddThread(process->second, tid, comm, time_ns);
  Image image;
  image.process = SizeOf(recording_.processes);
  image.begin_ns = time_ns;
  image.comm = comm;
  return AddThread(AddProcess(pid, AddImage(std::move(image))), tid, comm, time_ns);
}

LiveThread* TableBuilder::Find(uint32_t tid) {
  const auto found = live_.find(tid);
  return found == live_.end() ? nullptr : &found->second;
}

uint32_t TableBuilder::PidOf(uint32_t tid) {
  const LiveThread* const thread = Find(tid);
  return thread == nullptr ? 0 : recording_.processes[thread->process].pid;
}

bool TableBuilder::Rename(uint32_t tid, uint32_t to) {
  if (!live_.contains(tid) || live_.contains(to) || processes_.contains(to)) return false;
  const LiveThread thread = live_.at(tid);
  live_.erase(tid);
  live_.emplace(to, thread);
  recording_.threads[thread.thread].tid = to;
  Process& process = recording_.processes[thread.process];
  const LiveProcess live = processes_.at(process.pid);
  processes_.erase(process.pid);
  processes_.emplace(to, live);
  process.pid = to;
  return true;
}

LiveThread& TableBuilder::Fork(const LiveThread& parent, uint32_t pid, uint32_t tid, Memory memory,
                               uint64_t time_ns) {
  const LiveThread from = parent;
  const std::string comm = recording_.threads[from.thread].comm;
  if (recording_.processes[from.process].pid == pid) return Of(pid, tid, comm, time_ns);
  if (processes_.contains(pid)) {
    // Its first line came before its parent's.
    LiveThread& child = Of(pid, tid, comm, time_ns);
    recording_.processes[child.process].parent = from.process;
    Image& image = recording_.images[child.image];
    if (image.origin == Origin::kFirst) {
      image.origin = Origin::kFork;
      image.parent = from.image;
    }
    return child;
  }
  uint32_t image = from.image;
  if (memory == Memory::kCopy) {
    Image copy;
    copy.process = SizeOf(recording_.processes);
    copy.origin = Origin::kFork;
    copy.parent = from.image;
    copy.begin_ns = time_ns;
    copy.comm = recording_.images[from.image].comm;
    copy.brk_start = recording_.images[from.image].brk_start;
    image = AddImage(std::move(copy));
  }
  LiveProcess& process = AddProcess(pid, image);
  recording_.processes[process.index].parent = from.process;
  return AddThread(process, tid, comm, time_ns);
}

void TableBuilder::Exec(LiveThread& thread, std::string_view comm, uint64_t time_ns) {
  Image image;
  image.process = thread.process;
  image.origin = Origin::kExec;
  image.parent = thread.image;
  image.begin_ns = time_ns;
  image.comm = comm;
  thread.image = AddImage(std::move(image));
  processes_[recording_.processes[thread.process].pid].image = thread.image;
}

bool TableBuilder::Exit(uint32_t tid) {
  const auto found = live_.find(tid);
  if (found == live_.end()) return false;
  const uint32_t pid = recording_.processes[found->second.process].pid;
  live_.erase(found);
  const auto process = processes_.find(pid);
  if (--process->second.threads != 0) return false;
  processes_.erase(process);
  return true;
}

uint32_t TableBuilder::FileOf(const LiveThread& thread, const Operation& op,
                              const std::optional<File>& identity) {
  Extent& extent = extents_[{thread.process, op.args[4]}];
  const Range made = MadeBy(op);
  const bool within = (op.args[3] & kMapFixed) != 0 && extent.range.start <= made.start &&
                      made.end <= extent.range.end;
  if (!within) {
    extent = {.file = SizeOf(recording_.files), .range = made};
    recording_.files.emplace_back();
  }
  if (identity.has_value()) recording_.files[extent.file] = *identity;
  return extent.file;
}

void TableBuilder::JoinFiles() {
  using Identity = std::tuple<uint32_t, uint32_t, uint64_t, std::string>;
  absl::flat_hash_map<Identity, uint32_t> first;
  std::vector<File> files;
  std::vector<uint32_t> renamed;
  for (File& file : recording_.files) {
    uint32_t index = SizeOf(files);
    if (file.inode != 0 || !file.name.empty()) {
      index =
          first
              .emplace(Identity{file.device_major, file.device_minor, file.inode, file.name}, index)
              .first->second;
    }
    if (index == files.size()) files.push_back(std::move(file));
    renamed.push_back(index);
  }
  recording_.files = std::move(files);
  for (Operation& op : recording_.operations) {
    if (op.file != kNoIndex) op.file = renamed[op.file];
  }
}

TableBuilder::LiveProcess& TableBuilder::AddProcess(uint32_t pid, uint32_t image) {
  const LiveProcess fresh{.index = SizeOf(recording_.processes), .image = image, .threads = 0};
  recording_.processes.push_back({.pid = pid, .parent = kNoIndex});
  return processes_.emplace(pid, fresh).first->second;
}

uint32_t TableBuilder::AddImage(Image image) {
  recording_.images.push_back(std::move(image));
  return SizeOf(recording_.images) - 1;
}

LiveThread& TableBuilder::AddThread(LiveProcess& process, uint32_t tid, std::string_view comm,
                                    uint64_t time_ns) {
  const LiveThread fresh{
      .thread = SizeOf(recording_.threads), .process = process.index, .image = process.image};
  recording_.threads.push_back(
      {.tid = tid, .process = process.index, .comm = std::string(comm), .begin_ns = time_ns});
  ++process.threads;
  return live_.emplace(tid, fresh).first->second;
}

}  // namespace faultline::client

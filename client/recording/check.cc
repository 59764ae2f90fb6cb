// SPDX-License-Identifier: Apache-2.0
//
// The invariants of a recording, one function for each table. What the types cannot hold is not
// asked for; what a decoder may have read from a bad file is: indices, maps, kinds, lengths of
// strings.
//
// Guarantee: whoever walks a recording that passed may use its indices unchecked.
#include "client/recording/check.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

#include "client/recording/concat.h"
#include "client/recording/format.h"
#include "client/recording/recording.h"

namespace faultline::client {
namespace {

/// The first complaint wins.
class Complaints {
 public:
  void Index(std::string_view what, uint64_t index, std::size_t size) {
    if (index >= size) Complain(Concat(what, " ", index, " of ", size));
  }
  void String(std::string_view what, std::string_view text) {
    if (text.size() > kMaxStringBytes) {
      Complain(Concat(what, " of ", text.size(), " bytes, at most ", kMaxStringBytes));
    }
  }
  void Complain(std::string_view text) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(std::string(text));
  }
  /// What it was about, if there was any.
  [[nodiscard]] absl::Status About(std::string_view what, std::size_t index) const {
    if (status_.ok()) return status_;
    return absl::InvalidArgumentError(Concat(what, " ", index, ": ", status_.message()));
  }
  [[nodiscard]] const absl::Status& status() const { return status_; }

 private:
  absl::Status status_;
};

void CheckMaps(std::string_view which, const std::vector<Mapping>& maps, Complaints& complaints) {
  uint64_t last = 0;
  for (const Mapping& mapping : maps) {
    if (mapping.start >= mapping.end || mapping.start < last) {
      complaints.Complain(Concat(which, " maps: ", Hex{mapping.start}, "-", Hex{mapping.end},
                                 " behind ", Hex{last}));
    }
    complaints.String("a name", mapping.name);
    last = mapping.end;
  }
}

void Check(const Recording& recording, const Process& process, Complaints& complaints) {
  if (process.parent == kNoIndex) return;
  complaints.Index("parent", process.parent, recording.processes.size());
}

void Check(const Recording& recording, const Thread& thread, Complaints& complaints) {
  complaints.Index("process", thread.process, recording.processes.size());
  complaints.String("a name", thread.comm);
}

void Check(const Recording& recording, const Image& image, Complaints& complaints) {
  complaints.Index("process", image.process, recording.processes.size());
  if (image.parent != kNoIndex) complaints.Index("parent", image.parent, recording.images.size());
  complaints.String("a name", image.comm);
  CheckMaps("start", image.start, complaints);
  CheckMaps("end", image.end, complaints);
  if (!image.end_known && !image.end.empty()) complaints.Complain("end maps that are not known");
}

void Check(const Recording& /*recording*/, const File& file, Complaints& complaints) {
  complaints.String("a name", file.name);
}

void Check(const Recording& /*recording*/, const Mark& mark, Complaints& complaints) {
  if (NameOf(mark.kind).empty()) complaints.Complain("no kind");
  complaints.String("a text", mark.text);
}

void Check(const Recording& recording, const Operation& op, Complaints& complaints) {
  if (NameOf(op.kind).empty()) complaints.Complain("no kind");
  complaints.Index("thread", op.thread, recording.threads.size());
  complaints.Index("image", op.image, recording.images.size());
  if (op.file != kNoIndex) complaints.Index("file", op.file, recording.files.size());
  if (op.effect_ns > op.duration_ns) complaints.Complain("an effect after its end");
  if ((op.error != 0 || op.ended == Ended::kUnknown) && op.result != 0) {
    complaints.Complain("a result of what failed");
  }
  if (op.ended == Ended::kUnknown && op.error != 0) complaints.Complain("an error not seen");
  for (std::size_t i = ArgumentsOf(op.kind); i < kMaxArguments; ++i) {
    if (op.args[i] != 0) complaints.Complain("an argument too many");
  }
  if (op.kind == OpKind::kCloneThread || op.kind == OpKind::kFork) {
    complaints.Index("new thread", op.args[0], recording.threads.size());
  }
  if (op.kind == OpKind::kFork) {
    complaints.Index("new image", op.args[1], recording.images.size());
  }
  if (op.kind == OpKind::kExec) complaints.Index("new image", op.args[0], recording.images.size());
}

template <class T>
absl::Status CheckAll(std::string_view what, const Recording& recording,
                      const std::vector<T>& elements) {
  for (std::size_t i = 0; i < elements.size(); ++i) {
    Complaints complaints;
    Check(recording, elements[i], complaints);
    if (!complaints.status().ok()) return complaints.About(what, i);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckRecording(const Recording& recording) {
  Complaints complaints;
  complaints.String("the command", recording.source.command);
  complaints.String("the kernel", recording.source.host.kernel);
  complaints.String("the machine", recording.source.host.machine);
  absl::Status status = complaints.status();
  status.Update(CheckAll("file", recording, recording.files));
  status.Update(CheckAll("process", recording, recording.processes));
  status.Update(CheckAll("thread", recording, recording.threads));
  status.Update(CheckAll("image", recording, recording.images));
  status.Update(CheckAll("mark", recording, recording.marks));
  status.Update(CheckAll("operation", recording, recording.operations));
  return status;
}

}  // namespace faultline::client

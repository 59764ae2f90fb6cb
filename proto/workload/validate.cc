// SPDX-License-Identifier: Apache-2.0
//
// The rules of a workload, part by part: the whole, files, regions, actors. Those of steps are in
// validate_steps.cc.
//
// Each function returns the first problem of its part. Numbers are compared before they are added,
// so that no sum overflows.
#include "proto/workload/validate.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include <google/protobuf/repeated_ptr_field.h>

#include "proto/workload/plan.h"
#include "proto/workload/validate_path.h"
#include "proto/workload/validate_steps.h"

namespace faultline::workload {
namespace {

using columns::MaybeProblem;
using google::protobuf::RepeatedPtrField;

constexpr std::size_t kMaxNameBytes = 63;
constexpr std::size_t kMaxDescriptionBytes = 1000;
constexpr int kMaxParts = 1000;
constexpr uint64_t kMinInterval = 1000;
constexpr uint64_t kMaxInterval = 1'000'000'000'000;
constexpr uint64_t kProtWrite = 2;

bool IsWorkloadName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

MaybeProblem CheckCount(const Path& path, int count, std::string_view allowed) {
  if (count <= kMaxParts) return std::nullopt;
  return path.OutOfRange(std::to_string(count) + " elements", allowed);
}

/// Names are there, and each once.
template <class Named>
MaybeProblem CheckNames(const Path& parent, std::string_view field,
                        const RepeatedPtrField<Named>& named) {
  std::set<std::string_view> seen;
  for (int i = 0; i < named.size(); ++i) {
    const std::string& name = named[i].name();
    if (!name.empty() && seen.insert(name).second) continue;
    const Path element = parent.At(field, i);
    return (element / "name").OutOfRange(name, "not empty, and unique");
  }
  return std::nullopt;
}

class Checker {
 public:
  Checker(const v1::Workload& workload, const WorkloadLimits& limits, std::string_view path)
      : workload_(workload), limits_(limits), path_(path) {}

  MaybeProblem Check() const {
    if (auto problem = CheckWhole()) return problem;
    if (auto problem = CheckFiles()) return problem;
    if (auto problem = CheckRegions()) return problem;
    if (auto problem = CheckActors()) return problem;
    return CheckSpace();
  }

 private:
  MaybeProblem CheckWhole() const {
    if (!IsWorkloadName(workload_.name())) {
      return (path_ / "name").OutOfRange(workload_.name(), "1 to 63 of a-z 0-9 _");
    }
    if (workload_.description().size() > kMaxDescriptionBytes) {
      return (path_ / "description").OutOfRange(workload_.description(), "at most 1000 bytes");
    }
    return std::nullopt;
  }

  MaybeProblem CheckFiles() const {
    if (auto problem = CheckCount(path_ / "files", workload_.files_size(), "at most 1000")) {
      return problem;
    }
    if (auto problem = CheckNames(path_, "files", workload_.files())) return problem;
    for (int i = 0; i < workload_.files_size(); ++i) {
      const uint64_t size = workload_.files(i).size();
      const Path file = path_.At("files", i);
      if (size >> 63 != 0) return (file / "size").OutOfRange(size, "below 2^63");
    }
    return std::nullopt;
  }

  MaybeProblem CheckRegions() const {
    if (auto problem = CheckCount(path_ / "regions", workload_.regions_size(), "at most 1000")) {
      return problem;
    }
    if (auto problem = CheckNames(path_, "regions", workload_.regions())) return problem;
    for (int i = 0; i < workload_.regions_size(); ++i) {
      if (auto problem = CheckRegion(path_.At("regions", i), workload_.regions(i))) return problem;
    }
    return std::nullopt;
  }

  MaybeProblem CheckRegion(const Path& path, const v1::Region& region) const {
    if (!IsLength(region.length())) {
      return (path / "length").OutOfRange(region.length(), kLengthAllowed);
    }
    if (!v1::RegionSharing_IsValid(region.sharing())) {
      return (path / "sharing").UnknownEnumValue(region.sharing(), "RegionSharing");
    }
    const bool of_thread = region.sharing() == v1::REGION_SHARING_THREAD;
    if (!IsFile(workload_, region.file(), of_thread ? FilesOf::kThread : FilesOf::kAll)) {
      return (path / "file")
          .OutOfRange(region.file(), of_thread ? "a file of the workload"
                                               : "a file of the workload that all threads have");
    }
    const bool writable =
        !region.inaccessible() && (region.prot() == 0 || (region.prot() & kProtWrite) != 0);
    if (region.populated() && (region.unmapped() || !writable)) {
      return (path / "populated").OutOfRange("true", "false, since it cannot be written");
    }
    return std::nullopt;
  }

  MaybeProblem CheckActors() const {
    if (workload_.actors_size() == 0) {
      return (path_ / "actors").OutOfRange("0 elements", "1 to 1000");
    }
    if (auto problem = CheckCount(path_ / "actors", workload_.actors_size(), "1 to 1000")) {
      return problem;
    }
    if (auto problem = CheckNames(path_, "actors", workload_.actors())) return problem;
    uint64_t threads = 0;
    for (int i = 0; i < workload_.actors_size(); ++i) {
      const Path path = path_.At("actors", i);
      threads += ThreadsOf(workload_.actors(i));
      if (threads > limits_.max_threads) {
        return (path / "threads")
            .OutOfRange(ThreadsOf(workload_.actors(i)), "all actors' together at most " +
                                                            std::to_string(limits_.max_threads) +
                                                            " (Limits.max_threads)");
      }
      if (auto problem = CheckActor(path, workload_.actors(i))) return problem;
    }
    return std::nullopt;
  }

  MaybeProblem CheckActor(const Path& path, const v1::Actor& actor) const {
    if (actor.has_pace() &&
        (actor.pace().interval_ns() < kMinInterval || actor.pace().interval_ns() > kMaxInterval)) {
      const Path pace = path / "pace";
      return (pace / "interval_ns").OutOfRange(actor.pace().interval_ns(), "1000 to 10^12");
    }
    if (actor.setup().empty() && actor.loop().empty()) {
      return (path / "loop").OutOfRange("0 elements", "a step, or one in setup");
    }
    StepChecker steps(workload_, ThreadsOf(actor),
                      AnySharedMm() ? SharedMm::kThere : SharedMm::kNone);
    if (auto problem = steps.Check(path, "setup", actor.setup())) return problem;
    return steps.Check(path, "loop", actor.loop());
  }

  /// Whether the regions of every mm fit into the room that there is for them.
  MaybeProblem CheckSpace() const {
    uint64_t in_shared_mm = 0;
    for (const v1::Actor& actor : workload_.actors()) {
      if (!actor.own_mm()) in_shared_mm += ThreadsOf(actor);
    }
    const uint64_t in_mm = std::max<uint64_t>(in_shared_mm, 1);
    uint64_t left = kRegionSpaceBytes;
    for (int i = 0; i < workload_.regions_size(); ++i) {
      const v1::Region& region = workload_.regions(i);
      const uint64_t copies = region.sharing() == v1::REGION_SHARING_THREAD ? in_mm : 1;
      const uint64_t each = SpaceOf(region.length());
      if (each > left / copies) {
        const Path path = path_.At("regions", i);
        return (path / "length")
            .OutOfRange(region.length(),
                        "all regions of an mm, those of its threads included, at most 2^45");
      }
      left -= each * copies;
    }
    return std::nullopt;
  }

  [[nodiscard]] uint32_t ThreadsOf(const v1::Actor& actor) const {
    return actor.threads() == 0 ? limits_.threads : actor.threads();
  }
  [[nodiscard]] bool AnySharedMm() const {
    return std::any_of(workload_.actors().begin(), workload_.actors().end(),
                       [](const v1::Actor& actor) { return !actor.own_mm(); });
  }

  const v1::Workload& workload_;
  const WorkloadLimits limits_;
  const Path path_;
};

}  // namespace

MaybeProblem WhyBad(const v1::Workload& workload, const WorkloadLimits& limits,
                    std::string_view path) {
  return Checker(workload, limits, path).Check();
}

}  // namespace faultline::workload

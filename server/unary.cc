// SPDX-License-Identifier: Apache-2.0
//
// What all unary calls share; see unary.h.
#include "server/unary.h"

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include <google/protobuf/message.h>

#include "server/names.h"

namespace faultline::server {
namespace {

constexpr const char* kEpochHeader = "faultline-instance-epoch";
constexpr const char* kMachineHeader = "faultline-machine";

std::optional<std::string_view> Header(const grpc::CallbackServerContext& context,
                                       const char* name) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(name);
  if (found == metadata.end()) return {};
  return std::string_view(found->second.data(), found->second.size());
}

/// The first name in a request; nothing if it has none.
std::string NameIn(const google::protobuf::Message& request) {
  const auto* descriptor = request.GetDescriptor();
  for (const char* field_name : {"name", "parent", "mm", "machine", "file"}) {
    const auto* field = descriptor->FindFieldByName(field_name);
    if (field == nullptr || field->is_repeated() ||
        field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_STRING) {
      continue;
    }
    return request.GetReflection()->GetString(request, field);
  }
  return {};
}

/// Empty if it is no name: then its field is to blame, not the routing.
std::string_view MachineOf(std::string_view name) {
  constexpr std::string_view kPrefix = "machines/";
  if (!name.starts_with(kPrefix)) return {};
  name.remove_prefix(kPrefix.size());
  return name.substr(0, name.find('/'));
}

MaybeRefusal CheckEpoch(std::string_view header, const Epoch& epoch) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(header.begin(), header.end(), value, 16);
  if (error == std::errc() && end == header.end() && value == epoch.value()) return {};
  return OtherInstance(kEpochHeader, header);
}

}  // namespace

MaybeRefusal Calls::Admit(const grpc::CallbackServerContext& context,
                          const google::protobuf::Message& request) const {
  if (draining()) return Draining();
  if (const auto header = Header(context, kEpochHeader)) {
    if (MaybeRefusal refusal = CheckEpoch(*header, registry_.epoch())) return refusal;
  }
  if (routing_ == Routing::kAnyCall) return {};
  return CheckRouting(context, NameIn(request));
}

MaybeRefusal Calls::CheckRouting(const grpc::CallbackServerContext& context,
                                 std::string_view name) const {
  const std::string_view machine = MachineOf(name);
  if (routing_ == Routing::kAnyCall || machine.empty()) return {};
  const std::string_view header = Header(context, kMachineHeader).value_or("");
  if (header == machine) return {};
  return Refusal{.reason = v1::ERROR_REASON_ROUTING_HEADER,
                 .field = kMachineHeader,
                 .value = std::string(header),
                 .allowed = "the machine that the request names, '" + std::string(machine) + "'"};
}

void WorkerCall::OnCancel() {
  const absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  if (task_ != nullptr) task_->Kill();
}

MaybeRefusal WorkerCall::RunKillable(const std::function<MaybeRefusal()>& body) {
  Task& self = CurrentTask();
  {
    const absl::MutexLock lock(&mutex_);
    task_ = &self;
    if (cancelled_) self.Kill();
  }
  MaybeRefusal refusal = body();
  {
    const absl::MutexLock lock(&mutex_);
    task_ = nullptr;
  }
  self.ClearKill();
  return refusal;
}

}  // namespace faultline::server

// SPDX-License-Identifier: Apache-2.0
//
// What metadata has to be, for every RPC of every service: the tests walk over the descriptors, so
// that an RPC that will be added is looked at, too. Calls are made as bytes, whatever the messages
// are, and every refusal has to come with its reason.
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include "tests/server/testing/refusals.h"
#include "tests/server/testing/served.h"

namespace faultline::server::testing {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;
using ::testing::ElementsAre;

constexpr const char* kEpochHeader = "faultline-instance-epoch";
constexpr const char* kMachineHeader = "faultline-machine";

/// Of all services that are served.
std::vector<const MethodDescriptor*> EveryRpc(Served& served) {
  std::vector<const MethodDescriptor*> methods;
  for (const NamedService& service : served.services().All()) {
    const ServiceDescriptor* const descriptor =
        DescriptorPool::generated_pool()->FindServiceByName(std::string(service.name));
    EXPECT_NE(descriptor, nullptr) << service.name;
    for (int i = 0; i < descriptor->method_count(); ++i) methods.push_back(descriptor->method(i));
  }
  return methods;
}

std::unique_ptr<Message> RequestOf(const MethodDescriptor& method) {
  MessageFactory& factory = *MessageFactory::generated_factory();
  return std::unique_ptr<Message>(factory.GetPrototype(method.input_type())->New());
}

/// Writes `machine` where the request says what it is about; false if it says nothing of the kind.
bool SetMachine(Message& request, const std::string& machine) {
  const Descriptor& type = *request.GetDescriptor();
  if (const FieldDescriptor* const open = type.FindFieldByName("open")) {  // of a stream
    return SetMachine(*request.GetReflection()->MutableMessage(&request, open), machine);
  }
  for (const char* name : {"name", "parent", "mm", "machine", "file"}) {
    const FieldDescriptor* const field = type.FindFieldByName(name);
    if (field == nullptr || field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) continue;
    request.GetReflection()->SetString(&request, field, machine);
    return true;
  }
  return false;
}

/// How a call with one request ends.
grpc::Status Call(Served& served, const MethodDescriptor& method, const Message& request,
                  const CallOptions& options) {
  grpc::GenericStub stub(served.NewChannel());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + options.deadline);
  options.prepare(context);
  grpc::CompletionQueue queue;
  const auto is_done = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto call = stub.PrepareCall(
      &context, absl::StrCat("/", method.service()->full_name(), "/", method.name()), &queue);
  call->StartCall(nullptr);
  (void)is_done();
  const grpc::Slice slice(request.SerializeAsString());
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  (void)is_done();  // whether it was read says the status
  grpc::ByteBuffer reply;
  do {
    call->Read(&reply, nullptr);
  } while (is_done());
  grpc::Status status;
  call->Finish(&status, nullptr);
  (void)is_done();
  queue.Shutdown();
  while (is_done()) {
  }
  return status;
}

TEST(EveryRpcTest, RefusesTheEpochOfAnotherInstance) {
  Served served;
  const std::string state = served.State();
  const std::vector<const MethodDescriptor*> methods = EveryRpc(served);
  EXPECT_GT(methods.size(), 50U);
  for (const MethodDescriptor* const method : methods) {
    EXPECT_THAT(
        Call(served, *method, *RequestOf(*method), WithMetadata(kEpochHeader, "0000000000000001")),
        IsRefusal(v1::ERROR_REASON_OTHER_INSTANCE, kEpochHeader))
        << method->full_name();
  }
  EXPECT_EQ(served.State(), state);
}

TEST(EveryRpcTest, RefusesAMissingAndAWrongRoutingHeaderIfItNamesAMachine) {
  Config config;
  config.require_routing_header = true;
  Served served(config);
  const std::string state = served.State();
  std::vector<std::string> of_no_machine;
  for (const MethodDescriptor* const method : EveryRpc(served)) {
    const auto request = RequestOf(*method);
    if (!SetMachine(*request, "machines/default")) {
      of_no_machine.push_back(method->name());
      continue;
    }
    for (const CallOptions& options : {CallOptions(), WithMetadata(kMachineHeader, "other")}) {
      EXPECT_THAT(Call(served, *method, *request, options),
                  IsRefusal(v1::ERROR_REASON_ROUTING_HEADER, kMachineHeader))
          << method->full_name();
    }
  }
  EXPECT_EQ(served.State(), state);
  EXPECT_THAT(of_no_machine, ElementsAre("GetServerInfo", "ListSchemes", "CreateMachine",
                                         "ListMachines", "GetLockStatistics", "SetLockStatistics",
                                         "ListWorkloads", "ListScenarios", "Explore", "Replay"));
}

}  // namespace
}  // namespace faultline::server::testing

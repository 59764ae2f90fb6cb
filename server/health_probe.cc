// SPDX-License-Identifier: Apache-2.0
//
// The health check by hand: its two messages are so small that stubs for them, which Debian does
// not ship, would be more than what they replace. A request for the whole server is empty; the
// reply is one enum, field 1: 0 unknown, 1 serving, 2 not serving, 3 unknown service.
#include "server/health_probe.h"

#include <vector>

#include <absl/strings/str_cat.h>
#include <grpc/grpc.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/slice.h>

namespace faultline::server {
namespace {

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return {};
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

}  // namespace

std::string WhyNotServing(const std::string& target, std::chrono::milliseconds patience) {
  grpc::ChannelArguments arguments;
  // A proxy of the environment would be asked instead.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const auto channel =
      grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + patience);
  const grpc::ByteBuffer request(nullptr, 0);
  grpc::CompletionQueue queue;
  const auto call =
      stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
  grpc::ByteBuffer reply;
  grpc::Status status;
  call->StartCall();
  call->Finish(&reply, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);  // the call's deadline bounds it
  if (!status.ok()) return absl::StrCat("no answer from ", target, ": ", status.error_message());
  return BytesOf(reply) == std::string("\x08\x01") ? "" : absl::StrCat(target, " does not serve");
}

}  // namespace faultline::server

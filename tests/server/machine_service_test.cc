// SPDX-License-Identifier: Apache-2.0
//
// MachineService through a socket: what each call does, and that each field of each
// request with a value that it must not have is answered with its documented reason, naming the
// field, the value and what is allowed, and leaves the server as it was.
//
// "As it was" is everything that the service can list, compared before and after.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include "core/fault/fault_options.h"
#include "faultline/v1/machine.grpc.pb.h"
#include "server/limits.h"
#include "server/names.h"
#include "server/registry.h"
#include "tests/server/testing/refusals.h"
#include "tests/server/testing/served.h"

namespace faultline::server::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr uint64_t kMaxAddress = UINT64_MAX - 4095;
const std::string kDefault = "machines/default";

Limits SmallLimits() {
  Limits limits;
  limits.max_machines = 5;
  limits.max_machine_memory_bytes = uint64_t{2} << 30;
  limits.max_memory_bytes = uint64_t{4} << 30;
  limits.max_cpus = 8;
  limits.max_files = 6;
  limits.max_page_size = 4;
  return limits;
}

class MachineServiceTest : public ::testing::Test {
 protected:
  /// One call: its response, or the status in `status_`.
  template <class Request, class Response>
  Response Call(grpc::Status (v1::MachineService::Stub::*method)(grpc::ClientContext*,
                                                                 const Request&, Response*),
                const Request& request) {
    grpc::ClientContext context;
    Response response;
    status_ = (stub_.get()->*method)(&context, request, &response);
    EXPECT_TRUE(!status_.ok() || response.instance_epoch() == epoch_.value());
    return response;
  }
  /// A call that is to succeed.
  template <class Request, class Response>
  Response Do(grpc::Status (v1::MachineService::Stub::*method)(grpc::ClientContext*, const Request&,
                                                               Response*),
              const Request& request) {
    Response response = Call(method, request);
    EXPECT_TRUE(status_.ok()) << status_.error_message();
    return response;
  }
  /// A call that is to be refused: the status message, which says all that the detail says. The
  /// server is as it was.
  template <class Request, class Response>
  std::string Refusal(grpc::Status (v1::MachineService::Stub::*method)(grpc::ClientContext*,
                                                                       const Request&, Response*),
                      const Request& request) {
    const std::string before = State();
    (void)Call(method, request);
    const grpc::Status status = status_;
    EXPECT_FALSE(status.ok()) << request.ShortDebugString();
    EXPECT_EQ(State(), before) << request.ShortDebugString();
    CheckDetail(status);
    return status.error_message();
  }
  static void CheckDetail(const grpc::Status& status) {
    const std::optional<v1::ErrorDetail> detail = DetailOf(status);
    ASSERT_TRUE(detail.has_value());
    EXPECT_THAT(status, IsRefusal(detail->reason(), detail->field()));
    EXPECT_THAT(status.error_message(), HasSubstr(detail->field()));
    EXPECT_THAT(status.error_message(), HasSubstr(detail->value()));
    EXPECT_THAT(status.error_message(), HasSubstr(detail->allowed()));
    EXPECT_FALSE(detail->allowed().empty());
  }

  /// All that can be listed, as text.
  std::string State() {
    std::string state;
    std::string token;
    do {
      v1::ListMachinesRequest request;
      request.set_page_token(token);
      const auto page = Do(&Stub::ListMachines, request);
      for (const v1::Machine& machine : page.machines()) {
        state += machine.ShortDebugString() + "\n" + Files(machine.name());
      }
      token = page.next_page_token();
    } while (!token.empty());
    return state;
  }
  std::string Files(const std::string& machine) {
    std::string files;
    v1::ListFilesRequest request;
    request.set_parent(machine);
    do {
      const auto page = Do(&Stub::ListFiles, request);
      for (const v1::File& file : page.files()) files += file.ShortDebugString() + "\n";
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty());
    return files;
  }

  v1::Machine Create(const std::string& id, uint64_t memory_bytes = 1 << 20) {
    v1::CreateMachineRequest request;
    request.set_machine_id(id);
    request.mutable_machine()->set_memory_bytes(memory_bytes);
    return Do(&Stub::CreateMachine, request).machine();
  }
  v1::Machine Get(const std::string& name) {
    v1::GetMachineRequest request;
    request.set_name(name);
    return Do(&Stub::GetMachine, request).machine();
  }
  v1::File CreateFile(const std::string& machine, const std::string& path, uint64_t size) {
    v1::CreateFileRequest request;
    request.set_parent(machine);
    request.mutable_file()->set_path(path);
    request.mutable_file()->set_size(size);
    return Do(&Stub::CreateFile, request).file();
  }
  /// What is wrong with a name of a machine in `field` of a request.
  template <class Request, class Response, class SetName>
  void RefusesBadMachineNames(grpc::Status (v1::MachineService::Stub::*method)(grpc::ClientContext*,
                                                                               const Request&,
                                                                               Response*),
                              const std::string& field, const SetName& set_name) {
    const std::vector<std::string> malformed = {"",
                                                "machines",
                                                "machines/",
                                                "default",
                                                "machines/Default",
                                                "machine/m",
                                                "machines/1m",
                                                "machines/-",
                                                "machines/m/",
                                                "machines/" + std::string(64, 'm'),
                                                "/machines",
                                                "machines/m m",
                                                "machines/*",
                                                "machines/m\n/",
                                                "machines/default/mms/1"};
    for (const std::string& name : malformed) {
      Request request;
      set_name(request, name);
      const std::string message = Refusal(method, request);
      EXPECT_THAT(message, StartsWith("INVALID_NAME: " + field)) << name;
      EXPECT_THAT(message, EndsWith("; allowed: machines/M"));
    }
    Request request;
    set_name(request, "machines/nobody");
    EXPECT_EQ(Refusal(method, request),
              "NOT_FOUND: " + field + " is 'machines/nobody'; allowed: a machine that exists");
  }

  using Stub = v1::MachineService::Stub;

  const Limits limits_ = SmallLimits();
  Served served_{limits_};
  Registry& registry_ = served_.registry();
  const Epoch& epoch_ = registry_.epoch();
  const std::unique_ptr<Stub> stub_ = v1::MachineService::NewStub(served_.NewChannel());
  grpc::Status status_;
};

// --- The server ----------------------------------------------------------------------------------

TEST_F(MachineServiceTest, ServerInfoSaysWhatItIsAndAllows) {
  const auto info = Do(&Stub::GetServerInfo, v1::GetServerInfoRequest());
  EXPECT_THAT(info.build_id(), Not(IsEmpty()));
  EXPECT_GT(info.start_time().seconds(), 1'600'000'000);
  EXPECT_LT(info.start_time().nanos(), 1'000'000'000);
  EXPECT_GE(info.start_time().nanos(), 0);
  EXPECT_LE(info.clock_ns(), Do(&Stub::GetServerInfo, v1::GetServerInfoRequest()).clock_ns());
  EXPECT_EQ(info.limits().max_machines(), limits_.max_machines);
  EXPECT_EQ(info.limits().max_cpus(), limits_.max_cpus);
  // Every field of the message, by its name in the table of limits.
  const google::protobuf::Reflection& reflection = *info.limits().GetReflection();
  for (const LimitInfo& limit : AllLimits()) {
    const auto* field = v1::Limits::descriptor()->FindFieldByName(limit.name);
    if (field == nullptr) continue;
    const uint64_t value = field->type() == google::protobuf::FieldDescriptor::TYPE_UINT32
                               ? reflection.GetUInt32(info.limits(), field)
                               : reflection.GetUInt64(info.limits(), field);
    EXPECT_EQ(value, limits_.*limit.value) << limit.name;
  }
}

TEST_F(MachineServiceTest, SchemesComeWithWhatGoesWithThem) {
  const auto list = Do(&Stub::ListSchemes, v1::ListSchemesRequest());
  ASSERT_EQ(list.schemes_size(), static_cast<int>(AllSchemes().size()));
  int number = 0;
  for (const v1::SchemeInfo& scheme : list.schemes()) {
    EXPECT_EQ(static_cast<int>(scheme.scheme()), ++number);
    EXPECT_EQ(scheme.scheme(), scheme.defaults().scheme());
    EXPECT_EQ(scheme.name(), Name(static_cast<SchemeName>(number - 1)));
    EXPECT_THAT(scheme.allowed_allocs(), Contains(scheme.defaults().pgtable_alloc()));
    EXPECT_EQ(scheme.allows_wire_tables(), scheme.name().starts_with("spf_"));
    EXPECT_EQ(scheme.rungs(scheme.rungs_size() - 1), v1::FAULT_RUNG_MMAP_LOCK);
  }
  EXPECT_THAT(list.schemes(0).rungs(), ElementsAre(v1::FAULT_RUNG_MMAP_LOCK));
  EXPECT_THAT(list.schemes(3).rungs(),
              ElementsAre(v1::FAULT_RUNG_VMA_LOCK, v1::FAULT_RUNG_MMAP_LOCK));
  EXPECT_THAT(list.schemes(4).rungs(),
              ElementsAre(v1::FAULT_RUNG_VALIDATED, v1::FAULT_RUNG_MMAP_LOCK));
  EXPECT_THAT(
      list.schemes(6).rungs(),
      ElementsAre(v1::FAULT_RUNG_VALIDATED, v1::FAULT_RUNG_VMA_LOCK, v1::FAULT_RUNG_MMAP_LOCK));
  EXPECT_THAT(list.schemes(6).allowed_allocs(), Not(Contains(v1::TABLE_ALLOC_EAGER)));
}

// --- Making and finding machines -----------------------------------------------------------------

TEST_F(MachineServiceTest, TheDefaultMachineExists) {
  const v1::Machine machine = Get(kDefault);
  EXPECT_EQ(machine.name(), kDefault);
  EXPECT_EQ(machine.memory_bytes(), uint64_t{1} << 30);
  EXPECT_EQ(machine.cpus(), 4u);
  EXPECT_EQ(machine.contents(), v1::PAGE_CONTENTS_TAG);
  EXPECT_EQ(machine.mm_count(), 0u);
}

TEST_F(MachineServiceTest, AMachineIsAsItWasAskedFor) {
  v1::CreateMachineRequest request;
  request.set_machine_id("my-machine-1");
  v1::Machine& wanted = *request.mutable_machine();
  wanted.set_name("machines/ignored");
  wanted.set_mm_count(77);
  wanted.set_memory_bytes(8 << 20);
  wanted.set_cpus(8);
  wanted.set_contents(v1::PAGE_CONTENTS_BYTES);
  wanted.mutable_tunables()->set_min_free_frames(64);
  wanted.mutable_tunables()->set_watermark_scale(100);
  wanted.set_description(std::string(256, 'd'));
  const v1::Machine made = Do(&Stub::CreateMachine, request).machine();
  EXPECT_EQ(made.name(), "machines/my-machine-1");
  EXPECT_EQ(made.memory_bytes(), uint64_t{8} << 20);
  EXPECT_EQ(made.cpus(), 8u);
  EXPECT_EQ(made.contents(), v1::PAGE_CONTENTS_BYTES);
  EXPECT_EQ(made.tunables().min_free_frames(), 64u);
  EXPECT_EQ(made.tunables().watermark_scale(), 100u);
  EXPECT_EQ(made.description(), wanted.description());
  EXPECT_EQ(made.mm_count(), 0u);
  EXPECT_GT(made.create_time().seconds(), 1'600'000'000);
  EXPECT_EQ(Get(made.name()).ShortDebugString(), made.ShortDebugString());
}

TEST_F(MachineServiceTest, WhatIsLeftOpenIsTheDefault) {
  const v1::Machine made = Do(&Stub::CreateMachine, v1::CreateMachineRequest()).machine();
  EXPECT_EQ(made.memory_bytes(), uint64_t{1} << 30);
  EXPECT_EQ(made.cpus(), 4u);
  EXPECT_EQ(made.contents(), v1::PAGE_CONTENTS_TAG);
  EXPECT_EQ(made.tunables().min_free_frames(), 0u);
  EXPECT_EQ(made.tunables().watermark_scale(), 10u);
  EXPECT_EQ(made.description(), "");
  const v1::Machine other = Do(&Stub::CreateMachine, v1::CreateMachineRequest()).machine();
  EXPECT_NE(made.name(), other.name());
}

TEST_F(MachineServiceTest, CreateRefusesIds) {
  for (const std::string id : {"M", "1a", "-a", "a_b", "a/b", "machines/a", " ", "a\n"}) {
    v1::CreateMachineRequest request;
    request.set_machine_id(id);
    EXPECT_EQ(Refusal(&Stub::CreateMachine, request),
              "INVALID_NAME: machine_id is '" + id +
                  "'; allowed: 1 to 63 of a-z 0-9 -, beginning with a letter");
  }
  v1::CreateMachineRequest request;
  request.set_machine_id(std::string(64, 'a'));
  EXPECT_THAT(Refusal(&Stub::CreateMachine, request), StartsWith("INVALID_NAME: machine_id"));
  request.set_machine_id("default");
  EXPECT_EQ(Refusal(&Stub::CreateMachine, request),
            "ALREADY_EXISTS: machine_id is 'default'; allowed: an id that is not taken");
}

TEST_F(MachineServiceTest, CreateRefusesFieldsThatAreOutOfRange) {
  using Change = std::function<void(v1::Machine&)>;
  const std::string memory = "; allowed: multiples of 4096 from 65536 to 2147483648";
  const std::vector<std::pair<Change, std::string>> cases = {
      {[](v1::Machine& m) { m.set_memory_bytes(1); },
       "OUT_OF_RANGE: machine.memory_bytes is '1'" + memory},
      {[](v1::Machine& m) { m.set_memory_bytes(65535); },
       "OUT_OF_RANGE: machine.memory_bytes is '65535'" + memory},
      {[](v1::Machine& m) { m.set_memory_bytes(65536 + 8); },
       "OUT_OF_RANGE: machine.memory_bytes is '65544'" + memory},
      {[](v1::Machine& m) { m.set_memory_bytes((uint64_t{2} << 30) + 4096); },
       "OUT_OF_RANGE: machine.memory_bytes is '2147487744'" + memory},
      {[](v1::Machine& m) { m.set_memory_bytes(kMaxAddress); },
       "OUT_OF_RANGE: machine.memory_bytes is '18446744073709547520'" + memory},
      {[](v1::Machine& m) { m.set_cpus(9); }, "OUT_OF_RANGE: machine.cpus is '9'; allowed: 1 to 8"},
      {[](v1::Machine& m) { m.set_cpus(UINT32_MAX); },
       "OUT_OF_RANGE: machine.cpus is '4294967295'; allowed: 1 to 8"},
      {[](v1::Machine& m) { m.set_contents(static_cast<v1::PageContents>(3)); },
       "UNKNOWN_ENUM_VALUE: machine.contents is '3'; allowed: PAGE_CONTENTS_UNSPECIFIED = 0, "
       "PAGE_CONTENTS_TAG = 1, PAGE_CONTENTS_BYTES = 2"},
      {[](v1::Machine& m) { m.set_contents(static_cast<v1::PageContents>(-1)); },
       "UNKNOWN_ENUM_VALUE: machine.contents is '-1'; allowed: PAGE_CONTENTS_UNSPECIFIED = 0, "
       "PAGE_CONTENTS_TAG = 1, PAGE_CONTENTS_BYTES = 2"},
      {[](v1::Machine& m) { m.mutable_tunables()->set_watermark_scale(0); },
       "OUT_OF_RANGE: machine.tunables.watermark_scale is '0'; allowed: 1 to 3000"},
      {[](v1::Machine& m) { m.mutable_tunables()->set_watermark_scale(3001); },
       "OUT_OF_RANGE: machine.tunables.watermark_scale is '3001'; allowed: 1 to 3000"},
      {[](v1::Machine& m) {
         m.set_memory_bytes(1 << 20);
         m.mutable_tunables()->set_min_free_frames(kMaxAddress);
       },
       "OUT_OF_RANGE: machine.tunables.min_free_frames is '18446744073709547520'; allowed: 0 to "
       "170 with "
       "watermark_scale 10 and 255 frames"},
      {[](v1::Machine& m) { m.set_description(std::string(257, 'd')); },
       "OUT_OF_RANGE: machine.description is '" + std::string(256, 'd') +
           "'; allowed: at most 256 bytes"},
  };
  for (const auto& [change, expected] : cases) {
    v1::CreateMachineRequest request;
    request.set_machine_id("m");
    change(*request.mutable_machine());
    EXPECT_EQ(Refusal(&Stub::CreateMachine, request), expected);
    EXPECT_EQ(registry_.machine_count(), 1u);
  }
}

TEST_F(MachineServiceTest, CreateKeepsToTheLimitsOfSums) {
  v1::CreateMachineRequest large;
  large.set_machine_id("large");
  large.mutable_machine()->set_memory_bytes(uint64_t{2} << 30);
  (void)Do(&Stub::CreateMachine, large);
  large.set_machine_id("larger");
  EXPECT_EQ(Refusal(&Stub::CreateMachine, large),
            "LIMIT_REACHED: machine.memory_bytes; allowed: at most 4294967296 "
            "(Limits.max_memory_bytes)");
  for (const char* id : {"a", "b", "c"}) (void)Create(id);
  v1::CreateMachineRequest small;
  small.set_machine_id("d");
  small.mutable_machine()->set_memory_bytes(1 << 20);
  EXPECT_EQ(Refusal(&Stub::CreateMachine, small),
            "LIMIT_REACHED; allowed: at most 5 (Limits.max_machines)");
  EXPECT_EQ(registry_.machine_count(), 5u);
}

TEST_F(MachineServiceTest, CallsOnMachinesRefuseBadNames) {
  const auto name = [](auto& request, const std::string& text) { request.set_name(text); };
  const auto machine = [](auto& request, const std::string& text) { request.set_machine(text); };
  const auto parent = [](auto& request, const std::string& text) { request.set_parent(text); };
  RefusesBadMachineNames(&Stub::GetMachine, "name", name);
  RefusesBadMachineNames(&Stub::DeleteMachine, "name", name);
  RefusesBadMachineNames(&Stub::UpdateTunables, "machine", machine);
  RefusesBadMachineNames(&Stub::SetFailPoint, "machine", machine);
  RefusesBadMachineNames(&Stub::CreateFile, "parent", parent);
  RefusesBadMachineNames(&Stub::ListFiles, "parent", parent);
}

// --- Pages of lists ------------------------------------------------------------------------------

TEST_F(MachineServiceTest, MachinesAreListedByNameInPages) {
  for (const char* id : {"c", "a", "b"}) (void)Create(id);
  std::vector<std::string> names;
  v1::ListMachinesRequest request;
  request.set_page_size(3);
  int pages = 0;
  do {
    const auto page = Do(&Stub::ListMachines, request);
    EXPECT_LE(page.machines_size(), 3);
    for (const v1::Machine& machine : page.machines()) names.push_back(machine.name());
    request.set_page_token(page.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(pages, 2);
  EXPECT_THAT(names, ElementsAre("machines/a", "machines/b", "machines/c", kDefault));
  request.set_page_size(0);
  EXPECT_EQ(Do(&Stub::ListMachines, request).machines_size(), 4);
  request.set_page_size(UINT32_MAX);
  EXPECT_EQ(Do(&Stub::ListMachines, request).machines_size(), 4) << "as many as the limit";
}

TEST_F(MachineServiceTest, AListSurvivesTheEndOfWhereItsPageBegins) {
  for (const char* id : {"a", "b"}) (void)Create(id);
  v1::ListMachinesRequest request;
  request.set_page_size(1);
  request.set_page_token(Do(&Stub::ListMachines, request).next_page_token());
  v1::DeleteMachineRequest gone;
  gone.set_name("machines/b");
  (void)Do(&Stub::DeleteMachine, gone);
  const auto page = Do(&Stub::ListMachines, request);
  ASSERT_EQ(page.machines_size(), 1);
  EXPECT_EQ(page.machines(0).name(), kDefault);
}

TEST_F(MachineServiceTest, ListsRefusePageTokensOfOthers) {
  for (const char* id : {"a", "b"}) (void)Create(id);
  v1::ListMachinesRequest machines;
  machines.set_page_size(1);
  const std::string token = Do(&Stub::ListMachines, machines).next_page_token();
  ASSERT_THAT(token, Not(IsEmpty()));
  for (int i = 0; i < 3; ++i) (void)CreateFile("machines/a", "f", 1);
  v1::ListFilesRequest files;
  files.set_parent("machines/a");
  files.set_page_size(1);
  const std::string file_token = Do(&Stub::ListFiles, files).next_page_token();
  ASSERT_THAT(file_token, Not(IsEmpty()));

  const std::string allowed =
      "; allowed: next_page_token of the same list and instance, or nothing";
  std::string changed = token;
  changed.back() = changed.back() == '0' ? '1' : '0';
  for (const std::string& bad :
       {std::string("x"), std::string(16, '0'), std::string(18, 'f'), token + "00", changed,
        file_token, token.substr(1), std::string("18446744073709547520")}) {
    machines.set_page_token(bad);
    EXPECT_EQ(Refusal(&Stub::ListMachines, machines),
              absl::StrCat("INVALID_PAGE_TOKEN: page_token is '", bad, "'", allowed));
  }
  files.set_page_token(token);
  EXPECT_THAT(Refusal(&Stub::ListFiles, files), StartsWith("INVALID_PAGE_TOKEN: page_token"));
  files.set_page_token(file_token);
  files.set_parent("machines/b");
  EXPECT_THAT(Refusal(&Stub::ListFiles, files), StartsWith("INVALID_PAGE_TOKEN: page_token"))
      << "of another machine's list";
}

// --- Tunables ------------------------------------------------------------------------------------

TEST_F(MachineServiceTest, TunablesChangeAndWhatIsLeftOpenStays) {
  (void)Create("m");
  v1::UpdateTunablesRequest request;
  request.set_machine("machines/m");
  EXPECT_EQ(Do(&Stub::UpdateTunables, request).tunables().watermark_scale(), 10u);
  request.mutable_tunables()->set_min_free_frames(40);
  auto now = Do(&Stub::UpdateTunables, request).tunables();
  EXPECT_EQ(now.min_free_frames(), 40u);
  EXPECT_EQ(now.watermark_scale(), 10u);
  request.clear_tunables();
  request.mutable_tunables()->set_watermark_scale(200);
  now = Do(&Stub::UpdateTunables, request).tunables();
  EXPECT_EQ(now.min_free_frames(), 40u);
  EXPECT_EQ(now.watermark_scale(), 200u);
  EXPECT_EQ(Get("machines/m").tunables().ShortDebugString(), now.ShortDebugString());
  request.mutable_tunables()->set_min_free_frames(0);
  EXPECT_EQ(Do(&Stub::UpdateTunables, request).tunables().min_free_frames(), 0u);
}

TEST_F(MachineServiceTest, TunablesOutOfRangeChangeNothing) {
  (void)Create("m");
  v1::UpdateTunablesRequest request;
  request.set_machine("machines/m");
  request.mutable_tunables()->set_min_free_frames(40);
  (void)Do(&Stub::UpdateTunables, request);
  request.mutable_tunables()->set_min_free_frames(20);
  for (const uint32_t scale : {0u, 3001u, UINT32_MAX}) {
    request.mutable_tunables()->set_watermark_scale(scale);
    EXPECT_EQ(Refusal(&Stub::UpdateTunables, request),
              "OUT_OF_RANGE: tunables.watermark_scale is '" + std::to_string(scale) +
                  "'; allowed: 1 to 3000");
  }
  request.mutable_tunables()->clear_watermark_scale();
  for (const uint64_t min : {uint64_t{171}, uint64_t{255}, kMaxAddress, UINT64_MAX}) {
    request.mutable_tunables()->set_min_free_frames(min);
    EXPECT_THAT(Refusal(&Stub::UpdateTunables, request),
                AllOf(StartsWith("OUT_OF_RANGE: tunables.min_free_frames is '" +
                                 std::to_string(min) + "'; allowed: "),
                      EndsWith("0 to 170 with watermark_scale 10 and 255 frames")));
  }
}

// --- The end of machines -------------------------------------------------------------------------

TEST_F(MachineServiceTest, DeletedMachinesAreGone) {
  (void)Create("m");
  v1::DeleteMachineRequest request;
  request.set_name("machines/m");
  (void)Do(&Stub::DeleteMachine, request);
  EXPECT_EQ(registry_.memory_bytes(), uint64_t{1} << 30) << "of the default machine alone";
  EXPECT_THAT(Refusal(&Stub::DeleteMachine, request), StartsWith("NOT_FOUND: name"));
  EXPECT_EQ(Create("m").name(), "machines/m") << "the id is free again";
}

TEST_F(MachineServiceTest, AMachineWithMmsIsInUseUnlessForced) {
  (void)Create("m");
  {
    auto entry = registry_.FindMachine("machines/m", "");
    ASSERT_TRUE(entry.ok());
    ASSERT_TRUE((*entry)->CreateMm(MmOptions(), MmEntry::Options()).ok());
  }
  EXPECT_EQ(Get("machines/m").mm_count(), 1u);
  v1::DeleteMachineRequest request;
  request.set_name("machines/m");
  EXPECT_EQ(Refusal(&Stub::DeleteMachine, request),
            "IN_USE: name is 'machines/m'; allowed: a machine without mms, or force");
  request.set_force(true);
  (void)Do(&Stub::DeleteMachine, request);
  EXPECT_EQ(registry_.machine_count(), 1u);
}

TEST_F(MachineServiceTest, TheDefaultMachineIsEmptiedInstead) {
  (void)CreateFile(kDefault, "f", 1);
  v1::DeleteMachineRequest request;
  request.set_name(kDefault);
  (void)Do(&Stub::DeleteMachine, request);
  EXPECT_EQ(Get(kDefault).name(), kDefault);
  EXPECT_THAT(Files(kDefault), IsEmpty());
}

// --- Files ---------------------------------------------------------------------------------------

TEST_F(MachineServiceTest, FilesAreMadeFoundListedAndUnlinked) {
  const v1::File first = CreateFile(kDefault, "/usr/lib/libc.so", 5000);
  EXPECT_THAT(first.name(), StartsWith(kDefault + "/files/"));
  EXPECT_EQ(first.path(), "/usr/lib/libc.so");
  EXPECT_EQ(first.size(), 5000u);
  EXPECT_EQ(first.resident_pages(), 0u);
  const v1::File second = CreateFile(kDefault, "/usr/lib/libc.so", 0);
  EXPECT_NE(first.name(), second.name()) << "a path need not be unique";
  EXPECT_NE(first.inode(), second.inode());
  const v1::File third = CreateFile(kDefault, std::string(4095, 'p'), (uint64_t{1} << 63) - 1);

  v1::GetFileRequest get;
  get.set_name(first.name());
  EXPECT_EQ(Do(&Stub::GetFile, get).file().ShortDebugString(), first.ShortDebugString());

  std::vector<std::string> names;
  v1::ListFilesRequest list;
  list.set_parent(kDefault);
  list.set_page_size(2);
  do {
    const auto page = Do(&Stub::ListFiles, list);
    EXPECT_LE(page.files_size(), 2);
    for (const v1::File& file : page.files()) names.push_back(file.name());
    list.set_page_token(page.next_page_token());
  } while (!list.page_token().empty());
  EXPECT_THAT(names, ElementsAre(first.name(), second.name(), third.name()));

  v1::DeleteFileRequest gone;
  gone.set_name(first.name());
  (void)Do(&Stub::DeleteFile, gone);
  EXPECT_THAT(Refusal(&Stub::DeleteFile, gone), StartsWith("NOT_FOUND: name"));
  EXPECT_THAT(Refusal(&Stub::GetFile, get), StartsWith("NOT_FOUND: name"));
}

TEST_F(MachineServiceTest, CreateFileRefusesPathAndSize) {
  v1::CreateFileRequest request;
  request.set_parent(kDefault);
  request.mutable_file()->set_path(std::string("a\0b", 3));
  EXPECT_THAT(Refusal(&Stub::CreateFile, request),
              AllOf(StartsWith("OUT_OF_RANGE: file.path"),
                    EndsWith("; allowed: 0 to 4095 bytes without a zero byte")));
  request.mutable_file()->set_path(std::string(4096, 'p'));
  EXPECT_THAT(Refusal(&Stub::CreateFile, request),
              AllOf(StartsWith("OUT_OF_RANGE: file.path is 'ppp"),
                    EndsWith("; allowed: 0 to 4095 bytes without a zero byte")));
  request.mutable_file()->clear_path();
  for (const uint64_t size : {uint64_t{1} << 63, kMaxAddress, UINT64_MAX}) {
    request.mutable_file()->set_size(size);
    EXPECT_EQ(Refusal(&Stub::CreateFile, request), "OUT_OF_RANGE: file.size is '" +
                                                       std::to_string(size) +
                                                       "'; allowed: 0 to 9223372036854775807");
  }
}

TEST_F(MachineServiceTest, FilesKeepToTheirLimit) {
  for (uint64_t i = 0; i < limits_.max_files; ++i) (void)CreateFile(kDefault, "f", i);
  v1::CreateFileRequest request;
  request.set_parent(kDefault);
  EXPECT_EQ(Refusal(&Stub::CreateFile, request),
            "LIMIT_REACHED: parent; allowed: at most 6 (Limits.max_files)");
}

TEST_F(MachineServiceTest, CallsOnFilesRefuseBadNames) {
  const std::string real = CreateFile(kDefault, "f", 1).name();
  const std::string machine_less = "files/" + real.substr(real.rfind('/') + 1);
  for (const std::string& bad :
       {std::string(), machine_less, kDefault, kDefault + "/files/", kDefault + "/files/01",
        kDefault + "/files/-1", real + "/", kDefault + "/files/9007199254740992",
        kDefault + "/files/18446744073709547520", kDefault + "/mms/1"}) {
    v1::GetFileRequest get;
    get.set_name(bad);
    EXPECT_THAT(Refusal(&Stub::GetFile, get),
                AllOf(StartsWith("INVALID_NAME: name"), EndsWith("allowed: machines/M/files/F")));
    v1::DeleteFileRequest remove;
    remove.set_name(bad);
    EXPECT_THAT(Refusal(&Stub::DeleteFile, remove), StartsWith("INVALID_NAME: name"));
  }
  const auto refusal = [&](const std::string& name) {
    v1::GetFileRequest get;
    get.set_name(name);
    const std::string message = Refusal(&Stub::GetFile, get);
    v1::DeleteFileRequest remove;
    remove.set_name(name);
    EXPECT_EQ(Refusal(&Stub::DeleteFile, remove), message);
    return message;
  };
  EXPECT_THAT(refusal(FileName("default", epoch_.NumberOf(99))), StartsWith("NOT_FOUND: name"));
  EXPECT_THAT(refusal(FileName("nobody", epoch_.NumberOf(1))), StartsWith("NOT_FOUND: name"));
  const std::string other = FileName("default", Epoch(~epoch_.value()).NumberOf(1));
  EXPECT_EQ(refusal(other),
            "OTHER_INSTANCE: name is '" + other + "'; allowed: names that this instance has given");
  EXPECT_THAT(refusal(FileName("nobody", Epoch(~epoch_.value()).NumberOf(1))),
              StartsWith("OTHER_INSTANCE: name"));
}

// --- Fault injection -----------------------------------------------------------------------------

TEST_F(MachineServiceTest, AFailPointMakesAllocationsFailAndSaysHowMany) {
  (void)Create("m");
  auto entry = registry_.FindMachine("machines/m", "");
  ASSERT_TRUE(entry.ok());
  FrameAllocator& frames = (*entry)->machine().frames();
  const auto allocates = [&] {
    const Result<Folio*> folio = frames.Allocate(FrameUse::kAnon, Gfp::kNowait);
    if (folio.ok()) frames.Put(**folio);
    return folio.ok();
  };
  v1::SetFailPointRequest request;
  request.set_machine("machines/m");
  request.set_nth(2);
  EXPECT_EQ(Do(&Stub::SetFailPoint, request).failed(), 0u);
  EXPECT_TRUE(allocates());
  EXPECT_FALSE(allocates());
  EXPECT_TRUE(allocates());
  request.set_nth(1);
  request.set_for_ever(true);
  request.add_sites(v1::FAIL_SITE_FRAME);
  EXPECT_EQ(Do(&Stub::SetFailPoint, request).failed(), 1u);
  EXPECT_FALSE(allocates());
  EXPECT_FALSE(allocates());
  request.clear_sites();
  request.add_sites(v1::FAIL_SITE_TABLE);
  request.add_sites(v1::FAIL_SITE_HEAP);
  request.add_sites(v1::FAIL_SITE_TABLE);
  EXPECT_EQ(Do(&Stub::SetFailPoint, request).failed(), 2u);
  EXPECT_TRUE(allocates());
  request.set_nth(0);
  (void)Do(&Stub::SetFailPoint, request);
  EXPECT_TRUE(allocates());
  EXPECT_EQ(Do(&Stub::SetFailPoint, request).failed(), 0u);
}

TEST_F(MachineServiceTest, SetFailPointRefusesSites) {
  v1::SetFailPointRequest request;
  request.set_machine(kDefault);
  request.set_nth(UINT64_MAX);
  for (const int bad : {0, 4, -1}) {
    request.clear_sites();
    request.add_sites(v1::FAIL_SITE_HEAP);
    request.add_sites(static_cast<v1::FailSite>(bad));
    EXPECT_EQ(Refusal(&Stub::SetFailPoint, request),
              "UNKNOWN_ENUM_VALUE: sites[1] is '" + std::to_string(bad) +
                  "'; allowed: FAIL_SITE_HEAP = 1, FAIL_SITE_FRAME = 2, FAIL_SITE_TABLE = 3");
  }
  request.clear_sites();
  request.set_nth(0);
  EXPECT_EQ(Do(&Stub::SetFailPoint, request).failed(), 0u) << "nothing was armed";
}

}  // namespace
}  // namespace faultline::server::testing

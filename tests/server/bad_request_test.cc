// SPDX-License-Identifier: Apache-2.0
//
// Bad input to the unary calls of MemoryService, field by field: each gets its documented error
// with reason, field, value and what is allowed, and nothing has changed afterwards. Raw arguments
// are no errors of the service: the simulated kernel answers them, and the mm stays valid.
#include <functional>
#include <string>
#include <vector>

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include "core/mm/abi.h"
#include "core/vma/vma_flags.h"
#include "server/names.h"
#include "tests/server/testing/refusals.h"
#include "tests/server/testing/served.h"

namespace faultline::server::testing {
namespace {

using Stub = MemoryStub;

constexpr uint64_t kLastPage = UINT64_MAX - kPageSize + 1;  // 2^64 - 4096

/// A name that a field must not have, and why.
struct BadName {
  std::string name;
  v1::ErrorReason reason;
};

class BadRequestTest : public ::testing::Test {
 protected:
  BadRequestTest() {
    const std::string gone = served_.MakeMm();
    v1::ExitMmRequest exit;
    exit.set_name(gone);
    EXPECT_THAT(served_.Call(&Stub::ExitMm, exit).status, IsOk());
    gone_ = gone;
    auto file = served_.default_machine().CreateFile("/f", 4 * kPageSize);
    EXPECT_TRUE(file.ok());
    file_ = FileName("default", file->number);
    where_ = served_.MapPages(mm_, 4);
    state_ = served_.State();
  }
  void TearDown() override { ExpectUnchanged(); }

  void ExpectUnchanged() { EXPECT_EQ(served_.State(), state_); }

  /// Names of numbered things: `good` is one that exists.
  std::vector<BadName> BadNumberedNames(const std::string& good, const std::string& collection) {
    const uint64_t other_tag = uint64_t{1} << 32;
    const uint64_t number = std::stoull(good.substr(good.rfind('/') + 1));
    const std::string machine = "machines/default/" + collection + "/";
    return {
        {"", v1::ERROR_REASON_INVALID_NAME},
        {"nonsense", v1::ERROR_REASON_INVALID_NAME},
        {"machines/default", v1::ERROR_REASON_INVALID_NAME},
        {good + "/", v1::ERROR_REASON_INVALID_NAME},
        {"/" + good, v1::ERROR_REASON_INVALID_NAME},
        {machine, v1::ERROR_REASON_INVALID_NAME},
        {machine + "-1", v1::ERROR_REASON_INVALID_NAME},
        {machine + "0x1", v1::ERROR_REASON_INVALID_NAME},
        {machine + "18446744073709551616", v1::ERROR_REASON_INVALID_NAME},
        {machine + "9007199254740992", v1::ERROR_REASON_INVALID_NAME},
        {absl::StrCat(machine, "0", number), v1::ERROR_REASON_INVALID_NAME},
        {absl::StrCat("machines/A/", collection, "/", number), v1::ERROR_REASON_INVALID_NAME},
        {absl::StrCat("machines/", std::string(64, 'a'), "/", collection, "/", number),
         v1::ERROR_REASON_INVALID_NAME},
        {absl::StrCat(machine, number ^ other_tag), v1::ERROR_REASON_OTHER_INSTANCE},
        {absl::StrCat("machines/absent/", collection, "/", number ^ other_tag),
         v1::ERROR_REASON_OTHER_INSTANCE},
        {absl::StrCat("machines/absent/", collection, "/", number), v1::ERROR_REASON_NOT_FOUND},
        {absl::StrCat(machine, number | UINT32_MAX), v1::ERROR_REASON_NOT_FOUND},
        {std::string(4000, 'x'), v1::ERROR_REASON_INVALID_NAME},
    };
  }

  /// Sets the text field `field` of `request` to each bad name.
  template <class Request, class Response>
  void ExpectNamesRefused(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                       Response*),
                          const Request& good, const std::string& field,
                          const std::vector<BadName>& names) {
    Request request = good;
    const auto* descriptor = Request::descriptor()->FindFieldByName(field);
    ASSERT_NE(descriptor, nullptr);
    for (const BadName& bad : names) {
      Request::GetReflection()->SetString(&request, descriptor, bad.name);
      const grpc::Status status = served_.Call(method, request).status;
      EXPECT_THAT(status, IsRefusal(bad.reason, field, bad.name.substr(0, 256)))
          << Request::descriptor()->name() << " with '" << bad.name << "'";
    }
  }
  /// The same for a call on an mm.
  template <class Request, class Response>
  void ExpectMmNamesRefused(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                         Response*),
                            const std::string& field) {
    auto names = BadNumberedNames(mm_, "mms");
    names.push_back({gone_, v1::ERROR_REASON_NOT_FOUND});
    names.push_back({file_, v1::ERROR_REASON_INVALID_NAME});
    ExpectNamesRefused(method, Request(), field, names);
  }

  Served served_;
  const std::string mm_ = served_.MakeMm();
  std::string gone_;
  std::string file_;
  uint64_t where_ = 0;
  std::string state_;
};

TEST_F(BadRequestTest, NamesOfMms) {
  ExpectMmNamesRefused(&Stub::GetMm, "name");
  ExpectMmNamesRefused(&Stub::ForkMm, "mm");
  ExpectMmNamesRefused(&Stub::ExitMm, "name");
  ExpectMmNamesRefused(&Stub::ImportVmas, "mm");
  ExpectMmNamesRefused(&Stub::Mmap, "mm");
  ExpectMmNamesRefused(&Stub::Munmap, "mm");
  ExpectMmNamesRefused(&Stub::Mprotect, "mm");
  ExpectMmNamesRefused(&Stub::Mremap, "mm");
  ExpectMmNamesRefused(&Stub::Madvise, "mm");
  ExpectMmNamesRefused(&Stub::Mseal, "mm");
  ExpectMmNamesRefused(&Stub::Brk, "mm");
  ExpectMmNamesRefused(&Stub::Mlock, "mm");
  ExpectMmNamesRefused(&Stub::Munlock, "mm");
  ExpectMmNamesRefused(&Stub::Mlockall, "mm");
  ExpectMmNamesRefused(&Stub::Munlockall, "mm");
  ExpectMmNamesRefused(&Stub::Fault, "mm");
  ExpectMmNamesRefused(&Stub::Touch, "mm");
  ExpectMmNamesRefused(&Stub::Read, "mm");
  ExpectMmNamesRefused(&Stub::Write, "mm");
}

TEST_F(BadRequestTest, NamesOfMachines) {
  const std::vector<BadName> names = {
      {"", v1::ERROR_REASON_INVALID_NAME},
      {"default", v1::ERROR_REASON_INVALID_NAME},
      {"machines/", v1::ERROR_REASON_INVALID_NAME},
      {"machines/Default", v1::ERROR_REASON_INVALID_NAME},
      {"machines/default/", v1::ERROR_REASON_INVALID_NAME},
      {"machines/" + std::string(64, 'a'), v1::ERROR_REASON_INVALID_NAME},
      {mm_, v1::ERROR_REASON_INVALID_NAME},
      {"machines/absent", v1::ERROR_REASON_NOT_FOUND},
      {"machines/" + std::string(63, 'a'), v1::ERROR_REASON_NOT_FOUND},
  };
  ExpectNamesRefused(&Stub::CreateMm, v1::CreateMmRequest(), "parent", names);
  ExpectNamesRefused(&Stub::ListMms, v1::ListMmsRequest(), "parent", names);
}

TEST_F(BadRequestTest, NamesOfFiles) {
  const auto names = BadNumberedNames(file_, "files");
  ExpectNamesRefused(&Stub::ReclaimTables, v1::ReclaimTablesRequest(), "file", names);
  v1::MmapRequest map;
  map.set_mm(mm_);
  map.set_length(kPageSize);
  map.set_flags(abi::kMapPrivate);
  // But for none at all, which is a bad descriptor.
  ExpectNamesRefused(&Stub::Mmap, map, "file", {names.begin() + 1, names.end()});
  map.set_file("nonsense");
  map.set_flags(abi::kMapPrivate | abi::kMapAnonymous | abi::kMapFixedNoReplace);
  map.set_address(where_);
  EXPECT_EQ(served_.Call(&Stub::Mmap, map).response.error(), v1::ERRNO_EEXIST)
      << "with MAP_ANONYMOUS it is ignored";
}

TEST_F(BadRequestTest, AFileOfAnotherMachine) {
  auto machine = served_.registry().CreateMachine("other", MachineOptions{}, "");
  ASSERT_TRUE(machine.ok());
  auto file = (*machine)->CreateFile("/f", kPageSize);
  ASSERT_TRUE(file.ok());
  v1::MmapRequest map;
  map.set_mm(mm_);
  map.set_length(kPageSize);
  map.set_flags(abi::kMapPrivate);
  map.set_file(FileName("other", file->number));
  EXPECT_THAT(served_.Call(&Stub::Mmap, map).status,
              IsRefusal(v1::ERROR_REASON_OUT_OF_RANGE, "file"));
  v1::ImportVmasRequest import;
  import.set_mm(mm_);
  import.add_vmas()->set_end(kPageSize);
  import.mutable_vmas(0)->set_file(map.file());
  EXPECT_THAT(served_.Call(&Stub::ImportVmas, import).status,
              IsRefusal(v1::ERROR_REASON_OUT_OF_RANGE, "vmas[0].file"));
}

TEST_F(BadRequestTest, PageTokensOfSomethingElse) {
  v1::ListMmsRequest list;
  list.set_parent("machines/default");
  for (const std::string& token :
       {std::string("x"), std::string("0"), std::string(20, '0'), mm_, std::string(5000, 'a')}) {
    list.set_page_token(token);
    const grpc::Status status = served_.Call(&Stub::ListMms, list).status;
    EXPECT_THAT(status, IsRefusal(v1::ERROR_REASON_INVALID_PAGE_TOKEN, "page_token")) << token;
  }
  (void)served_.registry().CreateMachine("other", MachineOptions{}, "");
  (void)served_.MakeMm();
  list.clear_page_token();
  list.set_page_size(1);
  list.set_page_token(served_.Call(&Stub::ListMms, list).response.next_page_token());
  ASSERT_FALSE(list.page_token().empty());
  list.set_parent("machines/other");
  EXPECT_THAT(served_.Call(&Stub::ListMms, list).status,
              IsRefusal(v1::ERROR_REASON_INVALID_PAGE_TOKEN, "page_token"));
  state_ = served_.State();  // with the other mm
}

// --- Options of a new mm
// --------------------------------------------------------------------------

/// One field of MmOptions with a value that is refused.
struct BadOption {
  std::string field;
  std::string value;
  v1::ErrorReason reason;
  std::function<void(v1::MmOptions&)> set;
};

std::vector<BadOption> BadOptions() {
  constexpr auto kRange = v1::ERROR_REASON_OUT_OF_RANGE;
  constexpr auto kEnum = v1::ERROR_REASON_UNKNOWN_ENUM_VALUE;
  constexpr auto kCombination = v1::ERROR_REASON_REFUSED_COMBINATION;
  constexpr uint64_t kUserEnd = (uint64_t{1} << 47) - kPageSize;
  std::vector<BadOption> bad = {
      {"page_table_levels", "3", kRange, [](auto& o) { o.set_page_table_levels(3); }},
      {"page_table_levels", "0", kRange, [](auto& o) { o.set_page_table_levels(0); }},
      {"page_table_levels", "4294967295", kRange,
       [](auto& o) { o.set_page_table_levels(UINT32_MAX); }},
      {"max_map_count", "0", kRange, [](auto& o) { o.set_max_map_count(0); }},
      {"max_map_count", "262145", kRange, [](auto& o) { o.set_max_map_count(262'145); }},
      {"fault_around_bytes", "0", kRange, [](auto& o) { o.set_fault_around_bytes(0); }},
      {"fault_around_bytes", "2048", kRange, [](auto& o) { o.set_fault_around_bytes(2048); }},
      {"fault_around_bytes", "12288", kRange, [](auto& o) { o.set_fault_around_bytes(12'288); }},
      {"fault_around_bytes", "4194304", kRange, [](auto& o) { o.set_fault_around_bytes(4 << 20); }},
      {"fault.pgtable_alloc", "eager", kCombination,
       [](auto& o) {
         o.mutable_fault()->set_scheme(v1::SCHEME_RCU_RESTART);
         o.mutable_fault()->set_pgtable_alloc(v1::TABLE_ALLOC_EAGER);
       }},
      {"fault.spf_wire_tables", "true", kCombination,
       [](auto& o) { o.mutable_fault()->set_spf_wire_tables(true); }},
  };
  for (const uint64_t value : {kUserEnd + 1, kLastPage, UINT64_MAX}) {
    bad.push_back({"mmap_min_addr", absl::StrCat(value), kRange,
                   [value](auto& o) { o.set_mmap_min_addr(value); }});
    bad.push_back({"dac_mmap_min_addr", absl::StrCat(value), kRange,
                   [value](auto& o) { o.set_dac_mmap_min_addr(value); }});
  }
  for (const uint64_t value : {uint64_t{1}, kLastPage, UINT64_MAX}) {
    bad.push_back({"stack_guard_gap", absl::StrCat(value), kRange,
                   [value](auto& o) { o.set_stack_guard_gap(value); }});
    bad.push_back(
        {"mmap_base", absl::StrCat(value), kRange, [value](auto& o) { o.set_mmap_base(value); }});
    bad.push_back({"legacy_base_offset", absl::StrCat(value), kRange,
                   [value](auto& o) { o.set_legacy_base_offset(value); }});
    bad.push_back(
        {"start_brk", absl::StrCat(value), kRange, [value](auto& o) { o.set_start_brk(value); }});
  }
  for (const int value : {-1, 9, 1 << 30}) {
    bad.push_back({"fault.scheme", absl::StrCat(value), kEnum, [value](auto& o) {
                     o.mutable_fault()->set_scheme(static_cast<v1::Scheme>(value));
                   }});
    bad.push_back({"fault.pgtable_alloc", absl::StrCat(value), kEnum, [value](auto& o) {
                     o.mutable_fault()->set_pgtable_alloc(static_cast<v1::TableAlloc>(value));
                   }});
    bad.push_back({"fault.pte_table", absl::StrCat(value), kEnum, [value](auto& o) {
                     o.mutable_fault()->set_pte_table(static_cast<v1::PteTable>(value));
                   }});
    bad.push_back({"fault.pgtable_free", absl::StrCat(value), kEnum, [value](auto& o) {
                     o.mutable_fault()->set_pgtable_free(static_cast<v1::TableFree>(value));
                   }});
    bad.push_back({"fault.guard", absl::StrCat(value), kEnum, [value](auto& o) {
                     o.mutable_fault()->set_guard(static_cast<v1::FaultGuard>(value));
                   }});
  }
  return bad;
}

TEST_F(BadRequestTest, OptionsOfANewMm) {
  for (const BadOption& bad : BadOptions()) {
    v1::CreateMmRequest create;
    create.set_parent("machines/default");
    bad.set(*create.mutable_mm()->mutable_options());
    const grpc::Status status = served_.Call(&Stub::CreateMm, create).status;
    EXPECT_THAT(status, IsRefusal(bad.reason, "mm.options." + bad.field, bad.value));
    // And where Attach makes the mm.
    v1::AttachOpen open;
    open.set_machine("machines/default");
    *open.mutable_new_mm() = create.mm();
    Attached thread(served_.memory(), open);
    EXPECT_THAT(thread.Finish(), IsRefusal(bad.reason, "open.new_mm.options." + bad.field));
  }
}

TEST_F(BadRequestTest, ADescriptionThatIsTooLong) {
  v1::CreateMmRequest create;
  create.set_parent("machines/default");
  create.mutable_mm()->set_description(std::string(257, 'x'));
  const grpc::Status status = served_.Call(&Stub::CreateMm, create).status;
  EXPECT_THAT(status, IsRefusal(v1::ERROR_REASON_OUT_OF_RANGE, "mm.description"));
  EXPECT_EQ(DetailOf(status)->value().size(), 256U) << "shortened";
}

TEST_F(BadRequestTest, AsManyMmsAsTheLimitSays) {
  Served served(Limits{.max_mms = 1});
  const std::string mm = served.MakeMm();
  const std::string before = served.State();
  v1::CreateMmRequest create;
  create.set_parent("machines/default");
  EXPECT_THAT(served.Call(&Stub::CreateMm, create).status,
              IsRefusal(v1::ERROR_REASON_LIMIT_REACHED, ""));
  v1::ForkMmRequest fork;
  fork.set_mm(mm);
  EXPECT_THAT(served.Call(&Stub::ForkMm, fork).status,
              IsRefusal(v1::ERROR_REASON_LIMIT_REACHED, ""));
  EXPECT_EQ(served.State(), before);
}

// --- Imports
// --------------------------------------------------------------------------------------

TEST_F(BadRequestTest, ImportedVmas) {
  constexpr uint64_t kUserEnd = (uint64_t{1} << 47) - kPageSize;
  struct Bad {
    const char* field;
    uint64_t start, end, flags, offset;
    const char* file;
  };
  const Bad all_bad[] = {
      {"start", 1, kPageSize, 0, 0, ""},
      {"start", UINT64_MAX, kPageSize, 0, 0, ""},
      {"end", 0, 0, 0, 0, ""},
      {"end", kPageSize, kPageSize, 0, 0, ""},
      {"end", 2 * kPageSize, kPageSize, 0, 0, ""},
      {"end", 0, kPageSize + 1, 0, 0, ""},
      {"end", 0, kUserEnd + kPageSize, 0, 0, ""},
      {"end", 0, kLastPage, 0, 0, ""},
      {"end", kLastPage, 0, 0, 0, ""},
      {"vma_flags", 0, kPageSize, uint64_t{1} << 9, 0, ""},
      {"vma_flags", 0, kPageSize, UINT64_MAX, 0, ""},
      {"vma_flags", 0, kPageSize, vma_flag::kShared, 0, ""},
      {"offset", 0, kPageSize, 0, 1, "this"},
      {"offset", 0, kPageSize, 0, UINT64_MAX, "this"},
      {"file", 0, kPageSize, 0, 0, "nonsense"},
  };
  for (const Bad& bad : all_bad) {
    v1::ImportVmasRequest import;
    import.set_mm(mm_);
    v1::ImportedVma& good = *import.add_vmas();  // checked as a whole: not imported either
    good.set_start(0x10'0000);
    good.set_end(0x20'0000);
    v1::ImportedVma& vma = *import.add_vmas();
    vma.set_start(bad.start);
    vma.set_end(bad.end);
    vma.set_vma_flags(bad.flags);
    vma.set_offset(bad.offset);
    vma.set_file(std::string(bad.file) == "this" ? file_ : bad.file);
    const auto reason = std::string(bad.field) == "file" ? v1::ERROR_REASON_INVALID_NAME
                                                         : v1::ERROR_REASON_OUT_OF_RANGE;
    EXPECT_THAT(served_.Call(&Stub::ImportVmas, import).status,
                IsRefusal(reason, absl::StrCat("vmas[1].", bad.field)))
        << vma.ShortDebugString();
  }
}

TEST_F(BadRequestTest, TooManyImportedVmas) {
  Served served(Limits{.max_batch_operations = 4});
  v1::ImportVmasRequest import;
  import.set_mm(served.MakeMm());
  for (int i = 0; i < 5; ++i) import.add_vmas();
  const grpc::Status status = served.Call(&Stub::ImportVmas, import).status;
  EXPECT_THAT(status, IsRefusal(v1::ERROR_REASON_OUT_OF_RANGE, "vmas", "5"));
}

// --- Enums and raw arguments
// ----------------------------------------------------------------------

TEST_F(BadRequestTest, UnknownValuesOfEnums) {
  for (const int value : {-1, 4, 1'000'000, INT32_MAX, INT32_MIN}) {
    v1::FaultRequest fault;
    fault.set_mm(mm_);
    fault.set_address(where_);
    fault.set_access(static_cast<v1::AccessKind>(value));
    grpc::Status status = served_.Call(&Stub::Fault, fault).status;
    EXPECT_THAT(status,
                IsRefusal(v1::ERROR_REASON_UNKNOWN_ENUM_VALUE, "access", absl::StrCat(value)));
    fault.clear_access();
    fault.set_mode(static_cast<v1::FaultMode>(value));
    status = served_.Call(&Stub::Fault, fault).status;
    EXPECT_THAT(status,
                IsRefusal(v1::ERROR_REASON_UNKNOWN_ENUM_VALUE, "mode", absl::StrCat(value)));
    v1::TouchRequest touch;
    touch.set_mm(mm_);
    touch.set_address(where_);
    touch.set_access(static_cast<v1::AccessKind>(value));
    EXPECT_THAT(served_.Call(&Stub::Touch, touch).status,
                IsRefusal(v1::ERROR_REASON_UNKNOWN_ENUM_VALUE, "access"));
  }
}

TEST_F(BadRequestTest, AnOpenFileOutOfRange) {
  v1::MmapRequest map;
  map.set_mm(mm_);
  for (const uint64_t value : {uint64_t{1} << 63, UINT64_MAX}) {
    map.set_open_file(value);
    const grpc::Status status = served_.Call(&Stub::Mmap, map).status;
    EXPECT_THAT(status, IsRefusal(v1::ERROR_REASON_OUT_OF_RANGE, "open_file", absl::StrCat(value)));
  }
}

/// A raw address and length that no call can carry out.
struct RawRange {
  uint64_t address;
  uint64_t length;
};

class RawArgumentTest : public BadRequestTest, public ::testing::WithParamInterface<RawRange> {
 protected:
  template <class Request>
  Request Raw() {
    Request request;
    request.set_mm(mm_);
    request.set_address(GetParam().address);
    request.set_length(GetParam().length);
    return request;
  }
  template <class Request, class Response>
  v1::Errno ErrorOf(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request) {
    const auto reply = served_.Call(method, request);
    EXPECT_THAT(reply.status, IsOk());
    return reply.response.error();
  }
};

TEST_P(RawArgumentTest, AreAnsweredByTheSimulatedKernel) {
  EXPECT_NE(ErrorOf(&Stub::Munmap, Raw<v1::MunmapRequest>()), 0);
  auto map = Raw<v1::MmapRequest>();
  map.set_prot(abi::kProtRead);
  map.set_flags(abi::kMapPrivate | abi::kMapAnonymous | abi::kMapFixed);
  EXPECT_NE(ErrorOf(&Stub::Mmap, map), 0);
  auto remap = v1::MremapRequest();
  remap.set_mm(mm_);
  remap.set_address(GetParam().address);
  remap.set_old_length(GetParam().length);
  remap.set_new_length(kPageSize);
  EXPECT_NE(ErrorOf(&Stub::Mremap, remap), 0);
  // To there, from where something is.
  remap.set_address(where_);
  remap.set_old_length(kPageSize);
  remap.set_new_length(GetParam().length);
  remap.set_new_address(GetParam().address);
  remap.set_flags(abi::kMremapMayMove | abi::kMremapFixed);
  EXPECT_NE(ErrorOf(&Stub::Mremap, remap), 0);
  // These find nothing to do in an empty range; else it has to be mapped.
  const bool empty = GetParam().length == 0 && GetParam().address % kPageSize == 0;
  EXPECT_EQ(ErrorOf(&Stub::Mprotect, Raw<v1::MprotectRequest>()) == 0, empty);
  EXPECT_EQ(ErrorOf(&Stub::Madvise, Raw<v1::MadviseRequest>()) == 0, empty);
  EXPECT_EQ(ErrorOf(&Stub::Mseal, Raw<v1::MsealRequest>()) == 0, empty);
  // As Linux, which rounds the length up first, and has an overflow of that for nothing.
  const uint64_t offset = GetParam().address % kPageSize;
  const bool nothing_to_lock =
      GetParam().length + offset + kPageSize - 1 < kPageSize || GetParam().length == 0;
  if (!nothing_to_lock) {
    EXPECT_NE(ErrorOf(&Stub::Mlock, Raw<v1::MlockRequest>()), 0);
    EXPECT_NE(ErrorOf(&Stub::Munlock, Raw<v1::MunlockRequest>()), 0);
  }
  ExpectUnchanged();
}

INSTANTIATE_TEST_SUITE_P(
    Ranges, RawArgumentTest,
    ::testing::Values(RawRange{0x10'0000, 0}, RawRange{1, 0}, RawRange{0x10'0000, kLastPage},
                      RawRange{0x10'0000, UINT64_MAX}, RawRange{kLastPage, 2 * kPageSize},
                      RawRange{kLastPage, kLastPage}, RawRange{UINT64_MAX, UINT64_MAX},
                      RawRange{UINT64_MAX, 1}, RawRange{uint64_t{1} << 63, kPageSize},
                      RawRange{(uint64_t{1} << 47) - kPageSize, kPageSize},
                      RawRange{0x10'0001, kPageSize}));

TEST_F(BadRequestTest, AddressesThatAreNoneAreSignals) {
  for (const uint64_t address :
       {uint64_t{0}, uint64_t{1} << 47, (uint64_t{1} << 47) - 1, uint64_t{1} << 63, kLastPage,
        UINT64_MAX, uint64_t{0x8000'0000'0000}}) {
    v1::ReadRequest read;
    read.set_mm(mm_);
    read.set_address(address);
    const auto reply = served_.Call(&Stub::Read, read);
    EXPECT_THAT(reply.status, IsOk());
    EXPECT_EQ(reply.response.result().signal(), 11U) << address;
    v1::WriteRequest write;
    write.set_mm(mm_);
    write.set_address(address);
    EXPECT_EQ(served_.Call(&Stub::Write, write).response.result().signal(), 11U) << address;
    for (const auto mode : {v1::FAULT_MODE_USER, v1::FAULT_MODE_KERNEL}) {
      v1::FaultRequest fault;
      fault.set_mm(mm_);
      fault.set_address(address);
      fault.set_mode(mode);
      fault.set_explain(true);
      EXPECT_EQ(served_.Call(&Stub::Fault, fault).response.result().signal(), 11U) << address;
    }
  }
  state_ = served_.State();  // faults were counted, and that is all: it is valid
}

// --- What is allowed however odd it is
// ------------------------------------------------------------

/// Uses a range in all ways there are; whatever they answer.
void UseAll(Served& served, const std::string& mm, uint64_t start, uint64_t pages) {
  v1::AttachOpen open;
  open.set_mm(mm);
  Attached thread(served.memory(), open);
  v1::OperationBatch batch;
  for (const int kind : {1, 2, 3, 5, 6, 7, 8, 9, 11, 12, 28, 27, 24, 31, 6, 2, 21}) {
    batch.add_kinds(static_cast<v1::OperationKind>(kind));
    batch.add_addresses(start);
    batch.add_lengths(pages * kPageSize);
    if (kind == 27) batch.add_arguments(0);
    if (kind == 24) batch.add_arguments(abi::kMadvDontNeed);
  }
  batch.set_operations(static_cast<uint32_t>(batch.kinds_size()));
  EXPECT_EQ(thread.Run(batch).completed(), batch.operations());
  EXPECT_THAT(thread.End(), IsOk());
  served.Use(mm).mm().Validate();
}

TEST_F(BadRequestTest, EveryFlagThatAVmaMayBeImportedWithIsUsable) {
  for (int bit = 0; bit < 64; ++bit) {
    const uint64_t flag = uint64_t{1} << bit;
    if ((flag & vma_flag::kAll) == 0) continue;
    for (const bool of_file : {false, true}) {
      for (const uint64_t others :
           {uint64_t{0}, vma_flag::kAll & ~flag,
            vma_flag::kRead | vma_flag::kWrite | vma_flag::kMayRead | vma_flag::kMayWrite}) {
        v1::ImportVmasRequest import;
        import.set_mm(served_.MakeMm());
        v1::ImportedVma& vma = *import.add_vmas();
        vma.set_start(0x10'0000);
        vma.set_end(vma.start() + 4 * kPageSize);
        vma.set_vma_flags(flag | others);
        if (of_file) vma.set_file(file_);
        const auto reply = served_.Call(&Stub::ImportVmas, import);
        if (!reply.status.ok()) continue;
        UseAll(served_, import.mm(), vma.start(), 4);
        v1::ExitMmRequest exit;
        exit.set_name(import.mm());
        EXPECT_THAT(served_.Call(&Stub::ExitMm, exit).status, IsOk());
      }
    }
  }
  state_ = served_.State();  // copies that forks made stay
}

TEST_F(BadRequestTest, AFileMayBeImportedFromItsVeryEnd) {
  v1::ImportVmasRequest import;
  import.set_mm(served_.MakeMm());
  v1::ImportedVma& vma = *import.add_vmas();
  vma.set_start(0x10'0000);
  vma.set_end(vma.start() + 4 * kPageSize);
  vma.set_vma_flags(vma_flag::kRead | vma_flag::kMayRead);
  vma.set_file(file_);
  vma.set_offset(kLastPage);
  if (served_.Call(&Stub::ImportVmas, import).status.ok()) {
    UseAll(served_, import.mm(), vma.start(), 4);
  }
  state_ = served_.State();
}

TEST_F(BadRequestTest, OptionsAtTheEndsOfTheirRangesAreUsable) {
  constexpr uint64_t kUserEnd = (uint64_t{1} << 47) - kPageSize;
  const std::function<void(v1::MmOptions&)> all_odd[] = {
      [](auto& o) { o.set_max_map_count(1); },
      [](auto& o) { o.set_mmap_min_addr(0); },
      [](auto& o) { o.set_mmap_min_addr(kUserEnd); },
      [](auto& o) { o.set_mmap_min_addr(kUserEnd - 1); },
      [](auto& o) { o.set_dac_mmap_min_addr(kUserEnd); },
      [](auto& o) { o.set_stack_guard_gap((uint64_t{1} << 40) - kPageSize); },
      [](auto& o) { o.set_stack_guard_gap(0); },
      [](auto& o) { o.set_mmap_base(0); },
      [](auto& o) { o.set_mmap_base(kPageSize); },
      [](auto& o) { o.set_mmap_base(kUserEnd); },
      [](auto& o) { o.set_legacy_base_offset((uint64_t{1} << 47) - kPageSize); },
      [](auto& o) { o.set_start_brk(0); },
      [](auto& o) { o.set_start_brk(kUserEnd); },
      [](auto& o) { o.set_commit_limit_pages(0); },
      [](auto& o) { o.set_rlimit_as(0); },
      [](auto& o) { o.set_rlimit_data(0); },
      [](auto& o) { o.set_rlimit_stack(0); },
      [](auto& o) { o.set_rlimit_stack(UINT64_MAX); },
      [](auto& o) { o.set_rlimit_memlock(0), o.set_can_ipc_lock(false); },
      [](auto& o) { o.set_fault_around_bytes(2 << 20); },
      [](auto& o) { o.set_page_table_levels(5), o.set_mmap_base((uint64_t{1} << 56) - kPageSize); },
  };
  for (const auto& set : all_odd) {
    v1::Mm mm;
    set(*mm.mutable_options());
    const std::string name = served_.MakeMm(mm);
    v1::BrkRequest brk;
    brk.set_mm(name);
    brk.set_address(mm.options().start_brk() + 0x5555'5555'b000);
    EXPECT_THAT(served_.Call(&Stub::Brk, brk).status, IsOk());
    for (const uint64_t flags : {uint64_t{0}, abi::kMapGrowsDown, abi::kMap32Bit, abi::kMapFixed}) {
      v1::MmapRequest map;
      map.set_mm(name);
      map.set_length(4 * kPageSize);
      map.set_prot(abi::kProtRead | abi::kProtWrite);
      map.set_flags(abi::kMapPrivate | abi::kMapAnonymous | flags);
      const auto reply = served_.Call(&Stub::Mmap, map);
      EXPECT_THAT(reply.status, IsOk());
      if (reply.response.error() != 0) continue;
      if ((flags & abi::kMapGrowsDown) != 0) {
        UseAll(served_, name, reply.response.address() - 8 * kPageSize, 8);
      }
      UseAll(served_, name, reply.response.address(), 4);
    }
  }
  state_ = served_.State();
}

}  // namespace
}  // namespace faultline::server::testing

// SPDX-License-Identifier: Apache-2.0
//
// MemoryService through a socket: each RPC does what the core's call does, errno and signals are
// data, lists have pages, an mm ends when its last user has left.
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/mm/abi.h"
#include "core/mm/mm_lock.h"
#include "core/vma/vma_flags.h"
#include "tests/server/testing/refusals.h"
#include "tests/server/testing/served.h"

namespace faultline::server::testing {
namespace {

using Stub = MemoryStub;

class MemoryServiceTest : public ::testing::Test {
 protected:
  /// The reply of a call that is not refused.
  template <class Request, class Response>
  Response Get(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
               const Request& request) {
    const auto reply = served_.Call(method, request);
    EXPECT_THAT(reply.status, IsOk());
    EXPECT_EQ(reply.response.instance_epoch(), served_.registry().epoch().value());
    return reply.response;
  }
  /// A request that names mm_, with address and length.
  template <class Request>
  Request At(uint64_t address, uint64_t length) {
    Request request;
    request.set_mm(mm_);
    request.set_address(address);
    request.set_length(length);
    return request;
  }
  template <class Request>
  Request OfMm() {
    Request request;
    request.set_mm(mm_);
    return request;
  }
  uint64_t Vmas() { return served_.Use(mm_).mm().map_count(); }
  uint64_t LockedPages() { return served_.Use(mm_).mm().pages().locked; }
  bool IsMapped(uint64_t address) {
    auto request = OfMm<v1::TouchRequest>();
    request.set_address(address);
    return Get(&Stub::Touch, request).result().signal() == 0;
  }

  Served served_;
  const std::string mm_ = served_.MakeMm();
};

TEST_F(MemoryServiceTest, AnMmIsMadeWithItsOptionsAndFound) {
  v1::CreateMmRequest request;
  request.set_parent("machines/default");
  request.mutable_mm()->set_description("a test's");
  request.mutable_mm()->set_name("ignored");
  request.mutable_mm()->mutable_options()->mutable_fault()->set_scheme(v1::SCHEME_RCU_CONTINUE);
  request.mutable_mm()->mutable_options()->set_page_table_levels(5);
  const v1::Mm made = Get(&Stub::CreateMm, request).mm();
  EXPECT_EQ(made.description(), "a test's");
  EXPECT_EQ(made.options().fault().scheme(), v1::SCHEME_RCU_CONTINUE);
  EXPECT_NE(made.options().fault().pgtable_alloc(), v1::TABLE_ALLOC_UNSPECIFIED);
  EXPECT_EQ(made.options().page_table_levels(), 5U);
  EXPECT_EQ(made.options().max_map_count(), 65530U);
  EXPECT_EQ(made.map_count(), 0U);
  EXPECT_EQ(made.brk(), made.options().start_brk());
  EXPECT_FALSE(made.exits_with_threads());
  v1::GetMmRequest get;
  get.set_name(made.name());
  EXPECT_EQ(Get(&Stub::GetMm, get).mm().SerializeAsString(), made.SerializeAsString());
}

TEST_F(MemoryServiceTest, MmsAreListedPageByPageInTheirOrder) {
  std::vector<std::string> all = {mm_};
  for (int i = 0; i < 6; ++i) all.push_back(served_.MakeMm());
  v1::ListMmsRequest request;
  request.set_parent("machines/default");
  request.set_page_size(3);
  std::vector<std::string> listed;
  int pages = 0;
  do {
    const auto page = Get(&Stub::ListMms, request);
    EXPECT_LE(page.mms_size(), 3);
    for (const v1::Mm& mm : page.mms()) listed.push_back(mm.name());
    request.set_page_token(page.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(listed, all);
  EXPECT_EQ(pages, 3);
  request.set_page_size(0);
  EXPECT_EQ(Get(&Stub::ListMms, request).mms_size(), 7);
  request.set_page_size(UINT32_MAX);
  EXPECT_EQ(Get(&Stub::ListMms, request).mms_size(), 7);
}

TEST_F(MemoryServiceTest, APageBeginsWhereItWasToEvenIfThatMmIsGone) {
  const std::string second = served_.MakeMm();
  const std::string third = served_.MakeMm();
  v1::ListMmsRequest request;
  request.set_parent("machines/default");
  request.set_page_size(1);
  request.set_page_token(Get(&Stub::ListMms, request).next_page_token());
  v1::ExitMmRequest exit;
  exit.set_name(second);
  (void)Get(&Stub::ExitMm, exit);
  const auto page = Get(&Stub::ListMms, request);
  ASSERT_EQ(page.mms_size(), 1);
  EXPECT_EQ(page.mms(0).name(), third);
  EXPECT_EQ(page.next_page_token(), "");
}

TEST_F(MemoryServiceTest, MemoryIsMappedTouchedChangedMovedAndUnmapped) {
  const uint64_t where = served_.MapPages(mm_, 4);
  EXPECT_EQ(Vmas(), 1U);
  EXPECT_TRUE(IsMapped(where + 3 * kPageSize));

  auto protect = At<v1::MprotectRequest>(where, kPageSize);
  protect.set_prot(abi::kProtRead);
  EXPECT_EQ(Get(&Stub::Mprotect, protect).error(), 0);
  EXPECT_EQ(Vmas(), 2U);
  auto touch = OfMm<v1::TouchRequest>();
  touch.set_address(where + 8);
  touch.set_access(v1::ACCESS_KIND_WRITE);
  const v1::AccessResult refused = Get(&Stub::Touch, touch).result();
  EXPECT_EQ(refused.signal(), static_cast<uint32_t>(abi::kSigSegv));
  EXPECT_EQ(refused.code(), static_cast<uint32_t>(abi::kSegvAccErr));
  EXPECT_EQ(refused.address(), where + 8);

  auto remap = OfMm<v1::MremapRequest>();
  remap.set_address(where + kPageSize);
  remap.set_old_length(kPageSize);
  remap.set_new_length(8 * kPageSize);
  remap.set_flags(abi::kMremapMayMove);
  const auto moved = Get(&Stub::Mremap, remap);
  EXPECT_EQ(moved.error(), 0);
  EXPECT_TRUE(IsMapped(moved.address() + 7 * kPageSize));

  EXPECT_EQ(Get(&Stub::Munmap, At<v1::MunmapRequest>(where, 4 * kPageSize)).error(), 0);
  EXPECT_FALSE(IsMapped(where + 3 * kPageSize));
}

TEST_F(MemoryServiceTest, WordsAreStoredAndLoaded) {
  const uint64_t where = served_.MapPages(mm_, 1);
  auto write = OfMm<v1::WriteRequest>();
  write.set_address(where + 3);
  write.set_word(0x1234'5678'9abc'def0);
  EXPECT_EQ(Get(&Stub::Write, write).result().signal(), 0U);
  auto read = OfMm<v1::ReadRequest>();
  read.set_address(where);
  EXPECT_EQ(Get(&Stub::Read, read).word(), write.word());
  read.set_address(8);
  const auto refused = Get(&Stub::Read, read);
  EXPECT_EQ(refused.result().signal(), static_cast<uint32_t>(abi::kSigSegv));
  EXPECT_EQ(refused.result().code(), static_cast<uint32_t>(abi::kSegvMapErr));
  EXPECT_EQ(refused.word(), 0U);
}

TEST_F(MemoryServiceTest, AFaultIsExplainedIfThatIsAskedFor) {
  auto fault = OfMm<v1::FaultRequest>();
  fault.set_address(served_.MapPages(mm_, 1));
  fault.set_access(v1::ACCESS_KIND_WRITE);
  EXPECT_FALSE(Get(&Stub::Fault, fault).has_explanation());
  fault.set_explain(true);
  const v1::FaultExplanation explained = Get(&Stub::Fault, fault).explanation();
  ASSERT_EQ(explained.rungs_size(), 1);  // the scheme has no other
  EXPECT_EQ(explained.rungs(0).rung(), v1::FAULT_RUNG_MMAP_LOCK);
  EXPECT_TRUE(explained.rungs(0).entered());
  EXPECT_EQ(explained.rungs(0).reason(), v1::LEAVE_REASON_NONE);
  EXPECT_EQ(explained.waited_for(), v1::LOCK_RANK_UNSPECIFIED);
}

TEST_F(MemoryServiceTest, AFaultThatLeftARungSaysWhy) {
  v1::Mm options;
  options.mutable_options()->mutable_fault()->set_scheme(v1::SCHEME_VMA_LOCK);
  v1::FaultRequest fault;
  fault.set_mm(served_.MakeMm(options));
  fault.set_address(served_.MapPages(fault.mm(), 1));
  fault.set_mode(v1::FAULT_MODE_KERNEL);
  fault.set_explain(true);
  const v1::FaultExplanation explained = Get(&Stub::Fault, fault).explanation();
  ASSERT_EQ(explained.rungs_size(), 2);
  EXPECT_EQ(explained.rungs(0).rung(), v1::FAULT_RUNG_VMA_LOCK);
  EXPECT_FALSE(explained.rungs(0).entered());
  EXPECT_EQ(explained.rungs(0).reason(), v1::LEAVE_REASON_KERNEL_MODE);
  EXPECT_EQ(explained.rungs(1).rung(), v1::FAULT_RUNG_MMAP_LOCK);
  EXPECT_TRUE(explained.rungs(1).entered());
}

TEST_F(MemoryServiceTest, AFaultThatWaitedSaysForWhat) {
  auto fault = OfMm<v1::FaultRequest>();
  fault.set_address(served_.MapPages(mm_, 1));
  fault.set_explain(true);
  const MmUse use = served_.Use(mm_);
  v1::FaultResponse response;
  // On a worker it is as good as waiting, but for the moment before; then once more.
  EXPECT_TRUE(Eventually([&] {
    auto writer = std::make_unique<MmWriter>(use.mm());
    std::thread client([&] { response = Get(&Stub::Fault, fault); });
    EXPECT_TRUE(Eventually([&] { return served_.registry().pool().usage().busy == 1; }));
    std::this_thread::yield();
    writer.reset();
    client.join();
    EXPECT_TRUE(Eventually([&] { return served_.registry().pool().usage().busy == 0; }));
    return response.explanation().waited_ns() != 0;
  }));
  EXPECT_EQ(response.result().signal(), 0U);
  EXPECT_EQ(response.explanation().waited_for(), v1::LOCK_RANK_MMAP_LOCK);
  EXPECT_GT(response.explanation().waited_ns(), 0U);
  EXPECT_EQ(response.explanation().holder(), CurrentTask().id());
}

TEST_F(MemoryServiceTest, ErrorNumbersAreData) {
  EXPECT_EQ(Get(&Stub::Munmap, At<v1::MunmapRequest>(1, kPageSize)).error(), v1::ERRNO_EINVAL);
  EXPECT_EQ(Get(&Stub::Mprotect, At<v1::MprotectRequest>(kPageSize, kPageSize)).error(),
            v1::ERRNO_ENOMEM);
  auto map = At<v1::MmapRequest>(0, kPageSize);
  map.set_flags(abi::kMapPrivate);
  const auto no_file = Get(&Stub::Mmap, map);
  EXPECT_EQ(no_file.error(), v1::ERRNO_EBADF);
  EXPECT_EQ(no_file.address(), 0U);
  EXPECT_EQ(Get(&Stub::Mremap, OfMm<v1::MremapRequest>()).error(), v1::ERRNO_EINVAL);
  auto seal = At<v1::MsealRequest>(0, kPageSize);
  seal.set_flags(1);
  EXPECT_EQ(Get(&Stub::Mseal, seal).error(), v1::ERRNO_EINVAL);
  auto lock_all = OfMm<v1::MlockallRequest>();
  lock_all.set_flags(64);
  EXPECT_EQ(Get(&Stub::Mlockall, lock_all).error(), v1::ERRNO_EINVAL);
}

TEST_F(MemoryServiceTest, TheBreakMovesAndStaysWhereItCannot) {
  auto brk = OfMm<v1::BrkRequest>();
  const uint64_t start = Get(&Stub::Brk, brk).address();
  brk.set_address(start + 3 * kPageSize);
  EXPECT_EQ(Get(&Stub::Brk, brk).address(), start + 3 * kPageSize);
  EXPECT_TRUE(IsMapped(start));
  brk.set_address(UINT64_MAX);
  const auto stays = Get(&Stub::Brk, brk);
  EXPECT_EQ(stays.error(), 0);
  EXPECT_EQ(stays.address(), start + 3 * kPageSize);
}

TEST_F(MemoryServiceTest, MemoryIsLockedAdvisedAndSealed) {
  const uint64_t where = served_.MapPages(mm_, 2);
  EXPECT_EQ(Get(&Stub::Mlock, At<v1::MlockRequest>(where, kPageSize)).error(), 0);
  EXPECT_EQ(LockedPages(), 1U);
  EXPECT_EQ(Get(&Stub::Munlock, At<v1::MunlockRequest>(where, kPageSize)).error(), 0);
  EXPECT_EQ(LockedPages(), 0U);
  auto lock_all = OfMm<v1::MlockallRequest>();
  lock_all.set_flags(abi::kMclCurrent);
  EXPECT_EQ(Get(&Stub::Mlockall, lock_all).error(), 0);
  EXPECT_EQ(LockedPages(), 2U);
  EXPECT_EQ(Get(&Stub::Munlockall, OfMm<v1::MunlockallRequest>()).error(), 0);
  EXPECT_EQ(LockedPages(), 0U);
  auto advise = At<v1::MadviseRequest>(where, 2 * kPageSize);
  advise.set_advice(abi::kMadvDontNeed);
  EXPECT_EQ(Get(&Stub::Madvise, advise).error(), 0);
  EXPECT_EQ(Get(&Stub::Mseal, At<v1::MsealRequest>(where, 2 * kPageSize)).error(), 0);
  EXPECT_EQ(Get(&Stub::Munmap, At<v1::MunmapRequest>(where, kPageSize)).error(), v1::ERRNO_EPERM);
}

TEST_F(MemoryServiceTest, ACopyHasThePagesAndLosesNothingToItsOriginal) {
  auto write = OfMm<v1::WriteRequest>();
  write.set_address(served_.MapPages(mm_, 1));
  write.set_word(1);
  (void)Get(&Stub::Write, write);
  const auto forked = Get(&Stub::ForkMm, OfMm<v1::ForkMmRequest>());
  EXPECT_EQ(forked.error(), 0);
  EXPECT_EQ(forked.mm().parent_mm(), mm_);
  EXPECT_NE(forked.mm().name(), mm_);
  EXPECT_EQ(forked.mm().map_count(), 1U);
  write.set_word(2);
  (void)Get(&Stub::Write, write);
  v1::ReadRequest read;
  read.set_mm(forked.mm().name());
  read.set_address(write.address());
  EXPECT_EQ(Get(&Stub::Read, read).word(), 1U);
}

TEST_F(MemoryServiceTest, AnMmThatExitedIsGoneWithItsFrames) {
  const uint64_t before = served_.default_machine().machine().frames().free_frames();
  const std::string mm = served_.MakeMm();
  v1::TouchRequest touch;
  touch.set_mm(mm);
  touch.set_address(served_.MapPages(mm, 1));
  touch.set_access(v1::ACCESS_KIND_WRITE);
  EXPECT_EQ(Get(&Stub::Touch, touch).result().signal(), 0U);
  v1::ExitMmRequest exit;
  exit.set_name(mm);
  (void)Get(&Stub::ExitMm, exit);
  EXPECT_THAT(served_.Call(&Stub::ExitMm, exit).status,
              IsRefusal(v1::ERROR_REASON_NOT_FOUND, "name"));
  EXPECT_THAT(served_.Call(&Stub::Touch, touch).status,
              IsRefusal(v1::ERROR_REASON_NOT_FOUND, "mm"));
  served_.default_machine().machine().Validate();  // waits for what RCU frees
  EXPECT_EQ(served_.default_machine().machine().frames().free_frames(), before);
}

TEST_F(MemoryServiceTest, ExitEndsTheWaitsOfCallsAndThreads) {
  auto map = At<v1::MmapRequest>(0, kPageSize);
  map.set_flags(abi::kMapPrivate | abi::kMapAnonymous);
  v1::AttachOpen open;
  open.set_mm(mm_);
  Attached thread(served_.memory(), open);
  ASSERT_TRUE(thread.opened());
  v1::OperationBatch pause;
  pause.set_operations(1);
  pause.add_kinds(v1::OPERATION_KIND_PAUSE);
  pause.add_lengths(UINT64_MAX);
  thread.Send(pause);

  MmUse use = served_.Use(mm_);
  auto writer = std::make_unique<MmWriter>(use.mm());
  v1::MmapResponse waited;
  std::thread caller([&] { waited = Get(&Stub::Mmap, map); });
  EXPECT_TRUE(Eventually([&] { return served_.registry().pool().usage().busy == 1; }));
  v1::ExitMmRequest exit;
  exit.set_name(mm_);
  std::thread ender([&] { (void)Get(&Stub::ExitMm, exit); });
  caller.join();
  EXPECT_EQ(waited.error(), v1::ERRNO_EINTR);
  EXPECT_THAT(thread.Finish(), IsRefusal(v1::ERROR_REASON_MM_EXITED, "open.mm"));
  EXPECT_THAT(served_.Call(&Stub::Mmap, map).status, IsRefusal(v1::ERROR_REASON_MM_EXITED, "mm"));
  EXPECT_THAT(served_.Call(&Stub::ExitMm, exit).status,
              IsRefusal(v1::ERROR_REASON_MM_EXITED, "name"));
  v1::ListMmsRequest list;
  list.set_parent("machines/default");
  const auto listed = Get(&Stub::ListMms, list);
  ASSERT_EQ(listed.mms_size(), 1);
  EXPECT_TRUE(listed.mms(0).exiting());
  writer.reset();
  use.Drop();  // the last one
  ender.join();
  EXPECT_TRUE(served_.IsEmpty());
}

TEST_F(MemoryServiceTest, ImportedVmasAreWhereTheyWereAndThoseBeforeAFailureStay) {
  constexpr uint64_t kStart = 0x10'0000;
  auto file = served_.default_machine().CreateFile("/lib", 16 * kPageSize);
  ASSERT_TRUE(file.ok());
  auto request = OfMm<v1::ImportVmasRequest>();
  const auto add = [&](uint64_t start, uint64_t pages) {
    v1::ImportedVma& vma = *request.add_vmas();
    vma.set_start(start);
    vma.set_end(start + pages * kPageSize);
    vma.set_vma_flags(vma_flag::kRead | vma_flag::kMayRead);
    return &vma;
  };
  add(kStart + 8 * kPageSize, 2);
  v1::ImportedVma& of_file = *add(kStart, 4);
  of_file.set_file("machines/default/files/" + std::to_string(file->number));
  of_file.set_offset(kPageSize);
  const auto all = Get(&Stub::ImportVmas, request);
  EXPECT_EQ(all.error(), 0);
  EXPECT_EQ(all.imported(), 2U);
  EXPECT_EQ(Vmas(), 2U);
  EXPECT_TRUE(IsMapped(kStart));

  request.clear_vmas();
  add(kStart + 16 * kPageSize, 1);
  add(kStart + 3 * kPageSize, 1);  // something is there
  add(kStart + 20 * kPageSize, 1);
  const auto some = Get(&Stub::ImportVmas, request);
  EXPECT_EQ(some.error(), v1::ERRNO_EEXIST);
  EXPECT_EQ(some.imported(), 1U);
  EXPECT_EQ(Vmas(), 3U);
}

TEST_F(MemoryServiceTest, FilesAreMappedAndTheirEmptyTablesFreed) {
  auto file = served_.default_machine().CreateFile("/data", 4 * kPageSize);
  ASSERT_TRUE(file.ok());
  const std::string name = "machines/default/files/" + std::to_string(file->number);
  auto map = At<v1::MmapRequest>(0, 8 * kPageSize);
  map.set_prot(abi::kProtRead);
  map.set_flags(abi::kMapPrivate);
  map.set_file(name);
  const uint64_t where = Get(&Stub::Mmap, map).address();
  auto touch = OfMm<v1::TouchRequest>();
  touch.set_address(where + 5 * kPageSize);
  const v1::AccessResult behind = Get(&Stub::Touch, touch).result();
  EXPECT_EQ(behind.signal(), static_cast<uint32_t>(abi::kSigBus));
  EXPECT_EQ(behind.code(), static_cast<uint32_t>(abi::kBusAdrErr));
  EXPECT_TRUE(IsMapped(where));
  v1::ReclaimTablesRequest reclaim;
  reclaim.set_file(name);
  (void)Get(&Stub::ReclaimTables, reclaim);
  EXPECT_TRUE(IsMapped(where));
}

}  // namespace
}  // namespace faultline::server::testing

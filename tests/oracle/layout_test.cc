// SPDX-License-Identifier: Apache-2.0
//
// The simulation beside the kernel in the address space of a real process: what a process had
// mapped before is taken over with what maps does not show.
#include <sys/mman.h>

#include <cstdint>
#include <memory>

#include <gtest/gtest.h>

#include "tests/oracle/arena.h"
#include "tests/oracle/duel.h"
#include "tests/oracle/kernel_subject.h"
#include "tests/oracle/mm_subject.h"
#include "tests/oracle/operation.h"

namespace faultline::oracle {
namespace {

constexpr uint64_t kReservedBytes = uint64_t{8} << 20;
constexpr int kPlain = MAP_PRIVATE | MAP_ANONYMOUS;

/// Address space as sanitizers and allocators reserve it, with holes on both sides. Before the
/// processes of a duel are forked, so that all have it.
uint64_t Reserve() {
  const auto map = [](uint64_t address, uint64_t bytes, int flags) {
    return reinterpret_cast<uint64_t>(mmap(reinterpret_cast<void*>(address), bytes, PROT_NONE,
                                           kPlain | MAP_NORESERVE | flags, -1, 0));
  };
  const uint64_t start = map(0, kReservedBytes + 8 * kPageSize, 0);
  munmap(reinterpret_cast<void*>(start), kReservedBytes + 8 * kPageSize);
  return map(start + 4 * kPageSize, kReservedBytes, MAP_FIXED);
}
const uint64_t kReservation = Reserve();

// Found by host_differential --mode=placement under AddressSanitizer, --seed=2852201291.
TEST(LayoutTest, ANewMappingMergesWithAReservationThatTheProcessHad) {
  const Layout layout = KernelSubject(Mode::kPlacement).ReadLayout();
  Duel duel([] { return std::make_unique<KernelSubject>(Mode::kPlacement); },
            [&layout] {
              return std::make_unique<MmSubject>(Mode::kPlacement, &layout, MmSubject::Setup{});
            });
  for (const uint64_t beside : {kReservation - kPageSize, kReservation + kReservedBytes}) {
    for (const int more : {0, MAP_NORESERVE}) {  // the first does not merge, the second one does
      Operation op{.kind = OpKind::kMmap};
      op.args[0] = beside;
      op.args[1] = kPageSize;
      op.args[2] = PROT_NONE;
      op.args[3] = static_cast<uint64_t>(kPlain | more | MAP_FIXED);
      op.args[4] = kNoFile;
      const StepResult result = duel.Step(op);
      EXPECT_TRUE(result.compared && !result.difference) << result.difference.value_or("");
      EXPECT_EQ(result.outcome.value, beside);
    }
  }
}

}  // namespace
}  // namespace faultline::oracle

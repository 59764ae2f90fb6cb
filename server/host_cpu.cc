// SPDX-License-Identifier: Apache-2.0
//
// Reads /proc/stat; see host_cpu.h. Of its columns user, nice, system, irq, softirq and steal are
// time that somebody used; idle and iowait are not, and guest is in user already.
#include "server/host_cpu.h"

#include <unistd.h>

#include <array>
#include <ctime>
#include <fstream>
#include <string>

namespace faultline::server {

uint64_t ForeignCpuNs() {
  std::ifstream stat("/proc/stat");
  std::string label;
  std::array<uint64_t, 8> ticks{};  // user nice system idle iowait irq softirq steal
  if (!(stat >> label) || label != "cpu") return 0;
  for (uint64_t& column : ticks) {
    if (!(stat >> column)) return 0;
  }
  timespec own{};
  const long per_second = sysconf(_SC_CLK_TCK);
  if (per_second <= 0 || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own) != 0) return 0;
  constexpr uint64_t kSecond = 1'000'000'000;
  const uint64_t used = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6] + ticks[7];
  const uint64_t used_ns = used * (kSecond / static_cast<uint64_t>(per_second));
  const uint64_t own_ns =
      static_cast<uint64_t>(own.tv_sec) * kSecond + static_cast<uint64_t>(own.tv_nsec);
  return used_ns > own_ns ? used_ns - own_ns : 0;
}

}  // namespace faultline::server

// SPDX-License-Identifier: Apache-2.0
//
// What faultlined serves.
#include "server/services.h"

namespace faultline::server {
namespace {

class NoServices : public Services {
 public:
  [[nodiscard]] std::vector<NamedService> All() override { return {}; }
  void BeginDrain() override {}
};

}  // namespace

std::unique_ptr<Services> MakeServices(const Frame& /*frame*/) {
  return std::make_unique<NoServices>();
}

}  // namespace faultline::server

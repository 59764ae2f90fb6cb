// SPDX-License-Identifier: Apache-2.0
//
// The served side of rpc_bench; see rpc_server.h.
#include "tests/bench/rpc_server.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <ctime>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <variant>
#include <vector>

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "core/base/check.h"
#include "rpc_empty.grpc.pb.h"
#include "server/config.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/server.h"
#include "server/services.h"
#include "server/signals.h"

namespace faultline::bench {
namespace {

/// Says of each batch that all of it was done, as soon as it was read.
class EmptyStream final : public grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse> {
 public:
  EmptyStream() { StartRead(&request_); }

  void OnReadDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    if (!ok) {
      ended_ = true;
      if (answers_.empty()) Finish(grpc::Status::OK);
      return;
    }
    v1::AttachResponse& answer = answers_.emplace_back();
    answer.set_instance_epoch(1);
    if (request_.has_batch()) {
      v1::OperationResults& results = *answer.mutable_results();
      results.set_batch_id(request_.batch().batch_id());
      results.set_completed(request_.batch().operations());
    } else {
      answer.mutable_opened();
    }
    if (answers_.size() == 1) StartWrite(&answers_.front());
    StartRead(&request_);
  }
  void OnWriteDone(bool /*ok*/) override {
    const std::lock_guard lock(mutex_);
    answers_.pop_front();
    if (!answers_.empty()) {
      StartWrite(&answers_.front());
    } else if (ended_) {
      Finish(grpc::Status::OK);
    }
  }
  void OnDone() override { delete this; }

 private:
  std::mutex mutex_;
  v1::AttachRequest request_;
  std::deque<v1::AttachResponse> answers_;
  bool ended_ = false;
};

class EmptyService final : public bench::EmptyService::CallbackService {
 public:
  grpc::ServerUnaryReactor* Fault(grpc::CallbackServerContext* context,
                                  const v1::FaultRequest* /*request*/,
                                  v1::FaultResponse* response) override {
    response->set_instance_epoch(1);
    response->mutable_result();
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>* Attach(
      grpc::CallbackServerContext* /*context*/) override {
    return new EmptyStream();
  }
};

/// Serves until SIGTERM, and says on `ready` where.
int Serve(int ready) {
  using namespace server;  // NOLINT(google-build-using-namespace): what faultlined's main does
  Signals signals;
  Config config;
  config.listen = {std::get<Address>(ParseAddress("127.0.0.1:0"))};
  config.log_level = LogLevel::kWarning;
  Log log({.level = config.log_level,
           .format = config.log_format,
           .queue_lines = config.limits.log_queue_lines,
           .descriptor = STDERR_FILENO});
  Metrics metrics;
  const auto services = MakeServices({config, log, metrics});
  std::vector<NamedService> all = services->All();
  EmptyService empty;
  all.push_back({bench::EmptyService::service_full_name(), &empty});
  std::vector<std::string> names;
  names.reserve(all.size());
  for (const NamedService& service : all) names.push_back(service.name);
  CallTracker tracker(names, log);
  auto started = Server::Start(config.listen, config.limits, all, tracker);
  MM_CHECK(!std::holds_alternative<std::string>(started));
  auto& serving = *std::get<std::unique_ptr<Server>>(started);
  const std::string target = serving.addresses().front().Text();
  MM_CHECK(write(ready, target.data(), target.size()) == static_cast<ssize_t>(target.size()));
  close(ready);
  (void)signals.Wait();
  services->BeginDrain();
  return serving.Drain(std::chrono::seconds(10)) == Server::DrainResult::kFinished ? 0 : 1;
}

int64_t CpuNsOf(clockid_t clock) {
  timespec time{};
  MM_CHECK(clock_gettime(clock, &time) == 0);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

ServerProcess::ServerProcess() {
  std::array<int, 2> ready{};
  MM_CHECK(pipe(ready.data()) == 0);
  pid_ = fork();
  MM_CHECK(pid_ >= 0);
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody would end it after an abort
    close(ready[0]);
    _exit(Serve(ready[1]));
  }
  close(ready[1]);
  std::array<char, 256> buffer{};
  for (ssize_t got = 0; (got = read(ready[0], buffer.data(), buffer.size())) > 0;) {
    target_.append(buffer.data(), static_cast<size_t>(got));
  }
  close(ready[0]);
  MM_CHECK(!target_.empty());
}

ServerProcess::~ServerProcess() {
  kill(pid_, SIGTERM);
  int status = 0;
  MM_CHECK(waitpid(pid_, &status, 0) == pid_);
  MM_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int64_t ServerProcess::CpuNs() const {
  clockid_t clock{};
  MM_CHECK(clock_getcpuclockid(pid_, &clock) == 0);
  return CpuNsOf(clock);
}

int64_t OwnCpuNs() { return CpuNsOf(CLOCK_PROCESS_CPUTIME_ID); }

}  // namespace faultline::bench

// SPDX-License-Identifier: Apache-2.0
//
// Counting calls; see call_tracker.h. One object of gRPC's lives as long as the call: made when the
// call has been matched to a method, destroyed when the server is through with it.
//
// Invariant: of what Begin counts there is one Record and then one End. A call that ends without a
// status was cancelled.
#include "server/call_tracker.h"

#include <array>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <absl/strings/str_cat.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/support/interceptor.h>
#include <grpcpp/support/status.h>
#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>

namespace faultline::server {
namespace {

using grpc::experimental::InterceptionHookPoints;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr auto kRelaxed = std::memory_order_relaxed;

/// gRPC's codes by number.
constexpr std::array kCodes = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

/// Upper ends in seconds: a call takes some 50 us, one that sleeps some ms, a stream minutes.
constexpr std::array kBuckets = {25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3,
                                 25e-3, 50e-3, 100e-3, 250e-3, 1.0,    10.0, 60.0,   600.0};

/// Whether a drain waits for it.
enum class Owner : uint8_t { kOurs, kGrpc };

size_t BucketOf(double seconds) {
  size_t bucket = 0;
  while (bucket < kBuckets.size() && seconds > kBuckets[bucket]) ++bucket;
  return bucket;
}

}  // namespace

/// All are statistics that nothing hangs on, hence relaxed throughout. Aligned so that two methods
/// in use share no line.
struct alignas(64) CallTracker::Method {
  Method(std::string the_name, Owner the_owner) : name(std::move(the_name)), owner(the_owner) {}

  const std::string name;
  const Owner owner;
  std::atomic<uint64_t> in_flight{0};
  std::array<std::atomic<uint64_t>, kCodes.size()> codes{};
  std::array<std::atomic<uint64_t>, kBuckets.size() + 1> times{};
  std::atomic<uint64_t> time_ns{0};
};

struct CallTracker::Table {
  std::vector<std::unique_ptr<Method>> methods;  // the first is for gRPC's own
  std::unordered_map<std::string_view, Method*> by_path;
};

class CallTracker::Call : public grpc::experimental::Interceptor {
 public:
  Call(CallTracker& tracker, Method& method)
      : tracker_(tracker), method_(method), time_(tracker.Begin(method)), begin_(Clock::now()) {}
  ~Call() override {
    if (!recorded_) tracker_.Record(method_, grpc::CANCELLED, Clock::now() - begin_);
    tracker_.End(method_, time_);
  }

  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override {
    if (!recorded_ && batch->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      tracker_.Record(method_, batch->GetSendStatus().error_code(), Clock::now() - begin_);
      recorded_ = true;
    }
    batch->Proceed();
  }

 private:
  CallTracker& tracker_;
  Method& method_;
  const Time time_;
  const Clock::time_point begin_;
  bool recorded_ = false;
};

class CallTracker::CallFactory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit CallFactory(CallTracker& tracker) : tracker_(tracker) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    return new Call(tracker_, tracker_.Find(info->method()));
  }

 private:
  CallTracker& tracker_;
};

CallTracker::CallTracker(const std::vector<std::string>& services, Log& log)
    : table_(std::make_unique<Table>()), log_(log) {
  table_->methods.push_back(std::make_unique<Method>("grpc", Owner::kGrpc));
  const auto* const pool = google::protobuf::DescriptorPool::generated_pool();
  for (const std::string& name : services) {
    const auto* const service = pool->FindServiceByName(name);
    for (int i = 0; service != nullptr && i < service->method_count(); ++i) {
      table_->methods.push_back(std::make_unique<Method>(
          absl::StrCat("/", name, "/", service->method(i)->name()), Owner::kOurs));
      Method& method = *table_->methods.back();
      table_->by_path[method.name] = &method;
    }
  }
}

CallTracker::~CallTracker() = default;

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> CallTracker::Factory() {
  return std::make_unique<CallFactory>(*this);
}

uint64_t CallTracker::in_flight() const {
  return early_.load(std::memory_order_acquire) + late_.load(std::memory_order_acquire);
}

void CallTracker::BeginDrain() { draining_.store(true); }

bool CallTracker::WaitForEarly(Clock::time_point deadline, const std::atomic<bool>& give_up) {
  const auto none = [this] { return early_.load() == 0; };  // pairs with End
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline, [&] { return none() || give_up.load(); });
  return none();
}

bool CallTracker::WaitUntilIdle(Clock::duration quiet, Clock::time_point deadline,
                                const std::atomic<bool>& give_up) {
  std::unique_lock lock(mutex_);
  const auto busy = [this, &give_up] { return in_flight() != 0 || give_up.load(); };
  const auto idle = [this, &give_up] { return in_flight() == 0 || give_up.load(); };
  while (!give_up.load()) {
    if (!changed_.wait_until(lock, deadline, idle)) return false;
    if (!changed_.wait_for(lock, quiet, busy)) return true;
  }
  return in_flight() == 0;
}

void CallTracker::Wake() {
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

CallTracker::Time CallTracker::Begin(Method& method) {
  method.in_flight.fetch_add(1, kRelaxed);
  if (method.owner == Owner::kGrpc) return Time::kLate;
  const Time time = draining_.load(kRelaxed) ? Time::kLate : Time::kEarly;
  auto& count = time == Time::kLate ? late_ : early_;
  if (count.fetch_add(1, std::memory_order_acq_rel) == 0 && time == Time::kLate) Wake();
  return time;
}

void CallTracker::Record(Method& method, int code, Clock::duration duration) {
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
  const size_t index = static_cast<size_t>(code) < kCodes.size() ? static_cast<size_t>(code) : 2;
  method.codes[index].fetch_add(1, kRelaxed);
  method.times[BucketOf(static_cast<double>(ns) * 1e-9)].fetch_add(1, kRelaxed);
  method.time_ns.fetch_add(static_cast<uint64_t>(ns), kRelaxed);
  method.in_flight.fetch_sub(1, kRelaxed);
  if (log_.Enabled(LogLevel::kDebug)) {
    log_.Write(LogLevel::kDebug, "call",
               {{"method", method.name},
                {"code", kCodes[index]},
                {"duration_ns", static_cast<uint64_t>(ns)},
                {"request", log_.NextRequestId()}});
  }
}

void CallTracker::End(const Method& method, Time began) {
  if (method.owner == Owner::kGrpc) return;
  auto& count = began == Time::kLate ? late_ : early_;
  // Sequentially consistent, as are the store of draining_ and the look at early_ behind it: either
  // this sees that there is a drain, or the drain sees that the call has ended.
  const bool last = count.fetch_sub(1) == 1;
  if (last && draining_.load()) Wake();
}

CallTracker::Method& CallTracker::Find(const char* path) {
  const auto found = table_->by_path.find(path);
  return found == table_->by_path.end() ? *table_->methods.front() : *found->second;
}

std::vector<MetricFamily> CallTracker::Collect() const {
  MetricFamily total{"faultline_rpcs_total", "Calls that have ended", MetricType::Counter, {}};
  MetricFamily now{"faultline_rpcs_in_flight", "Calls under way", MetricType::Gauge, {}};
  MetricFamily time{"faultline_rpc_duration_seconds",
                    "From the match with a method to the end of the call; of streams, all of it",
                    MetricType::Histogram,
                    {}};
  for (const auto& method : table_->methods) {
    const std::vector<ClientMetric::Label> label = {{"method", method->name}};
    for (size_t code = 0; code < kCodes.size(); ++code) {
      ClientMetric& one = total.metric.emplace_back();
      one.counter.value = static_cast<double>(method->codes[code].load(kRelaxed));
      if (one.counter.value == 0) {
        total.metric.pop_back();
        continue;
      }
      one.label = label;
      one.label.push_back({"code", kCodes[code]});
    }
    ClientMetric& running = now.metric.emplace_back();
    running.label = label;
    running.gauge.value = static_cast<double>(method->in_flight.load(kRelaxed));
    ClientMetric& times = time.metric.emplace_back();
    times.label = label;
    times.histogram.sample_sum = static_cast<double>(method->time_ns.load(kRelaxed)) * 1e-9;
    for (size_t bucket = 0; bucket <= kBuckets.size(); ++bucket) {
      times.histogram.sample_count += method->times[bucket].load(kRelaxed);
      if (bucket == kBuckets.size()) break;  // the serializer adds +Inf itself
      times.histogram.bucket.push_back({times.histogram.sample_count, kBuckets[bucket]});
    }
  }
  return {std::move(total), std::move(now), std::move(time)};
}

}  // namespace faultline::server

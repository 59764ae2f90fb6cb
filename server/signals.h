// SPDX-License-Identifier: Apache-2.0
//
// SIGTERM and SIGINT as something to wait for. They are blocked in every thread and read from a
// descriptor, so that no code runs in a signal handler. SIGPIPE is ignored: a client or a reader of
// the log that has gone is an error of write(2), not the end of the server.
//
// Made first of all in main: threads inherit what is blocked.
#pragma once

#include <string>

namespace faultline::server {

class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// Waits for a signal and takes it: its name. Empty after Wake. For one thread.
  [[nodiscard]] std::string Wait();
  /// Ends the Wait that is under way, or else the next. By any thread.
  void Wake() const;

 private:
  int signals_;
  int wake_;
};

}  // namespace faultline::server

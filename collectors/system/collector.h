// The interface of all collectors. The daemon starts those in its list in order and stops them in reverse; the
// exposition, API and log ask each for its report. So a new collector needs one class and one line in that list.
//
// Threads: Start and Stop on the owner's; Describe on any, at any time between construction and destruction.
#pragma once

#include "collectors/system/collector_report.h"

namespace conntally {

class Collector {
 public:
  Collector() = default;
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;
  virtual ~Collector() = default;

  // Returns at once: a Worker does what takes time. Throws std::system_error, with what was being done, if no thread
  // can be started. A collector without a thread need not override it.
  virtual void Start() {}

  // Returns when its thread has ended, within a second or two. Does nothing if called again, or without Start.
  virtual void Stop() {}

  // Adds its status, the counts of what its bounds turned away, and its figures, under its own names. Does not wait for
  // the kernel.
  virtual void Describe(CollectorReport& report) const = 0;
};

}  // namespace conntally

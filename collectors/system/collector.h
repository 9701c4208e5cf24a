// What a collector is to the daemon. The daemon starts those of its list in order and stops them in reverse; whoever
// tells how they stand asks each for its report, so that a new one is one file and one line of that list.
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

  // Returns at once: what has to be waited for is done by a Worker. Throws std::system_error, with what was being done,
  // when the system has no thread to give. One without a thread has nothing to start.
  virtual void Start() {}

  // Returns when its thread has ended, within a second or two. Again, or without Start: nothing.
  virtual void Stop() {}

  // Adds, under names of its own: how it stands, what its bounds turned away, its figures. Waits for no kernel.
  virtual void Describe(CollectorReport& report) const = 0;
};

}  // namespace conntally

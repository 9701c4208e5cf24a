// The names of the interfaces that dropped packets entered or left by. A name is looked up when its index is first
// seen, since the interface may be gone later.
//
// Bounded by kMax; beyond it, names are looked up but not kept. Threads: Look and Forget on a thread that has entered
// the network namespace; Of on any.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "collectors/system/threads/guarded.h"

namespace conntally {

class InterfaceNames {
 public:
  static constexpr std::size_t kMax = 4096;

  // Empty: no interface, or the kernel no longer knows it.
  std::string Look(std::uint32_t index);
  // The name when it was looked up; empty: it never was.
  std::string Of(std::uint32_t index) const;
  // Call it when the network namespace changes.
  void Forget() { names_.Lock()->clear(); }

 private:
  Guarded<std::map<std::uint32_t, std::string>> names_;
};

}  // namespace conntally

// The names of the interfaces that dropped packets came in or left by. A name is asked for when its index is first
// seen, since it may be gone when somebody reads it.
//
// Bounded: kMax; past it names are asked for and not kept. Threads: Look and Forget on one that has entered the network
// namespace; Of on any.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "collectors/system/threads/guarded.h"

namespace conntally {

class InterfaceNames {
 public:
  static constexpr std::size_t kMax = 4096;

  // Empty: none, or the kernel does not know it any more.
  std::string Look(std::uint32_t index);
  // As it was when it was looked up; empty: it never was.
  std::string Of(std::uint32_t index) const;
  // Of another network namespace from here on.
  void Forget() { names_.Lock()->clear(); }

 private:
  Guarded<std::map<std::uint32_t, std::string>> names_;
};

}  // namespace conntally

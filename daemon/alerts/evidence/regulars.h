// Who was regular here before their packets began to be dropped: a banned regular soon has no connections, and a daemon
// that restarts has seen none of it. Each source that proved itself, with how many of the last minutes it did so at the
// most, and since when it is known.
//
// Bounded: kSourcesMax; where there is no room, the one that was seen least lately makes room. Pure but for its memory.
// Threads: one owner.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "daemon/alerts/evidence/judge.h"
#include "daemon/alerts/evidence/rate_windows.h"

namespace conntally {

class Regulars {
 public:
  static constexpr std::size_t kSourcesMax = 8192;
  static constexpr std::size_t kSavedMax = 4096;
  static constexpr std::chrono::hours kForgottenAfter{2};

  void Add(const std::vector<SourceFigures>& figures, SteadyTime now);
  // Minutes in which it was proven, or answered, at the most; 0: it proved nothing that is remembered. A source that is
  // proven has one minute at least.
  std::uint8_t MinutesOf(const IpAddress& source) const;
  std::size_t size() const { return sources_.size(); }

  nlohmann::json Save() const;
  std::string Restore(const nlohmann::json& saved);
  std::size_t bytes() const { return sources_.size() * (sizeof(IpAddress) + sizeof(Known) + 48); }

 private:
  struct Known {
    std::uint8_t minutes = 0;
    SteadyTime last_seen;
  };
  void MakeRoom();

  std::map<IpAddress, Known> sources_;
  bool just_restored_ = false;
};

}  // namespace conntally

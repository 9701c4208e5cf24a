// Which sources were regular before their packets began to be dropped: a banned regular soon has no connections, and a
// restarted daemon has seen none. Remembers each proven source, the largest number of minutes in which it was proven,
// and since when it is known.
//
// Bounded: kSourcesMax; a new source replaces the one seen longest ago. Pure except for its memory. Threads: one owner.
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
  // The largest number of minutes in which it was proven or answered; 0: nothing is remembered. A proven source has at
  // least one minute.
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

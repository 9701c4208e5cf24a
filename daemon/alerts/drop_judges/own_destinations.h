// The destinations that regularly answer this host itself, such as its database and name servers, and to which one of
// its own rules now drops packets. Drops towards other destinations, such as blocked sites, are not a fault.
//
// A destination is an address, a protocol and a port. It is regular if it answered in kRegularMinutes of the minutes
// since it is known. It is cut off if kLostMin or more packets to it were dropped over kDroppedFor or longer, some of
// them just now, and it has not answered since. A survey still shows an answer some seconds after it came
// (answer_survey.h), so this is known a little late.
//
// Bounded: kMax destinations; a new one replaces the one that answered longest ago. Threads: one owner.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "daemon/alerts/evidence/judge.h"
#include "daemon/alerts/evidence/rate_windows.h"

namespace conntally {

class OwnDestinations {
 public:
  static constexpr std::size_t kMax = 2048;
  static constexpr std::uint64_t kLostMin = 8;
  static constexpr std::chrono::seconds kDroppedFor{12};
  static constexpr std::chrono::seconds kJustNow{15};
  static constexpr std::chrono::hours kForgottenAfter{2};

  struct CutOff {
    std::string rule;  // its label; empty: not known
    std::string source;
    std::string destination;  // "192.0.2.7 TCP port 5432"
    std::uint64_t packets = 0;
  };

  // Returns the destinations that are cut off now.
  std::vector<CutOff> Follow(const AlertEvidence& evidence);

  std::uint64_t turned_away() const { return turned_away_; }
  std::size_t bytes() const { return known_.size() * (sizeof(Key) + sizeof(Known) + 64); }

 private:
  using Key = std::tuple<IpAddress, std::uint8_t, std::uint16_t>;  // protocol and port
  struct Known {
    SteadyTime answered{};
    std::int64_t minute = -1;  // of the last answer
    unsigned minutes = 0;
    std::uint64_t packets = 0;  // dropped up to the last answer
    SteadyTime onset{};         // of the drops since
  };

  void NoteAnswers(const AlertEvidence& evidence);

  std::map<Key, Known> known_;
  std::uint64_t turned_away_ = 0;  // destinations replaced
};

}  // namespace conntally

// What of the rules other checks need to know: where the asked traffic goes. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectors/host/network_reader.h"
#include "collectors/rules/walk/match/condition_match.h"

namespace conntally::diagnose {

// The way of a packet that rules have marked.
struct MarkedRoute {
  RouteQuestion question;
  Route route;
};

// Where DNAT sends the asked traffic: to a host that is not this one.
struct TranslatedTo {
  IpAddress address;
  std::optional<std::uint16_t> port;
  Route route;
  std::string rule;  // its place
};

struct RuleOutcome {
  Match passes = Match::kYes;            // the asked traffic; kMaybe: not all rules could be read, or be understood
  std::vector<std::string> unread = {};  // the rules that could not be read: "nftables" ...
  bool destination_translated = false;   // rules send the asked traffic to another address or port, or may
  bool sent_elsewhere = false;           // and that is not this host
  std::optional<TranslatedTo> translated_to = {};  // and it is known whom
  std::optional<std::uint16_t> redirected_to;      // it is this port of this host
  std::optional<IpAddress> redirected_address;     // and this address
  std::optional<MarkedRoute> marked_route = {};
  bool way_open = false;  // rules may give it another way: by a mark that is not known, or by what they do besides
};

}  // namespace conntally::diagnose

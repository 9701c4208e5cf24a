// What the other checks need to know about the rules: where the traffic in question goes. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectors/host/network_reader.h"
#include "collectors/rules/walk/match/condition_match.h"

namespace conntally::diagnose {

// The route of a packet that rules have marked.
struct MarkedRoute {
  RouteQuestion question;
  Route route;
};

// The other host to which DNAT sends the traffic in question.
struct TranslatedTo {
  IpAddress address;
  std::optional<std::uint16_t> port;
  Route route;
  std::string rule;  // its place in the rules
};

struct RuleOutcome {
  Match passes = Match::kYes;            // the traffic in question; kMaybe: not all rules are read or understood
  std::vector<std::string> unread = {};  // the rules that could not be read: "nftables" ...
  bool destination_translated = false;   // rules send it to another address or port, or may
  bool sent_elsewhere = false;           // to another host
  std::optional<TranslatedTo> translated_to = {};  // if the host is known
  std::optional<std::uint16_t> redirected_to;      // to this port of this host
  std::optional<IpAddress> redirected_address;     // to this address of this host
  std::optional<MarkedRoute> marked_route = {};
  bool way_open = false;  // rules may change its route: by an unknown mark, or by another action
};

}  // namespace conntally::diagnose

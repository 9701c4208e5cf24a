// What a look-up of one route does not show: routes that discard packets on purpose, policy-routing rules, and which
// neighbours answer. By rtnetlink; needs no privilege. Reads the calling thread's network namespace.
//
// Sources: ip-route(8), ip-rule(8); linux/fib_rules.h, linux/neighbour.h; net/core/fib_rules.c.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectors/host/network.h"
#include "collectors/system/result.h"

namespace conntally {

enum class Refuses : std::uint8_t { kBlackhole, kUnreachable, kProhibit };
const char* NameOf(Refuses kind);  // as in ip(8)

struct RefusingRoute {
  Refuses kind = Refuses::kBlackhole;
  Prefix destination;
  std::uint32_t table = 0;
  std::uint32_t metric = 0;
};

// A policy-routing rule: its selector, and its table or how it refuses.
struct RoutingRule {
  Family family = Family::kIpv4;
  std::uint32_t priority = 0;
  bool inverted = false;
  std::optional<Prefix> source;
  std::optional<Prefix> destination;
  std::uint32_t mark = 0;
  std::uint32_t mark_mask = 0;  // 0: any mark
  std::string in_link;          // empty: any
  std::string out_link;
  bool asks_more = false;  // a port, a user, a protocol ...
  std::uint32_t table = 0;
  std::optional<Refuses> refuses;
};

struct RoutingPolicy {
  static constexpr std::size_t kRoutesMax = 100'000;  // that discard packets
  std::vector<RefusingRoute> routes;
  std::vector<RoutingRule> rules;  // in the kernel's order, family by family
};

Result<RoutingPolicy> ReadRoutingPolicy();

struct Neighbour {
  IpAddress address;
  std::uint32_t link = 0;
  bool answers = false;  // it answered the last request
  bool failed = false;   // it was asked and did not answer
};

Result<std::vector<Neighbour>> ReadNeighbours();

}  // namespace conntally

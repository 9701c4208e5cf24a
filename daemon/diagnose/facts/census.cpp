#include "daemon/diagnose/facts/census.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>

#include <algorithm>
#include <tuple>

#include "collectors/tally/protocol_names.h"

namespace conntally::diagnose {
namespace {

constexpr std::size_t kDestinationsMax = 8;
// With unacknowledged data, the kernel limits an established connection's timeout to this.
constexpr std::uint32_t kUnacknowledgedSeconds = 300;

// By TcpState.
constexpr std::array<const char*, kTcpStates> kTimeoutNames = {
    "", "syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close", "syn_sent"};

// The timeout that the kernel sets after a packet, by protocol and state.
class Timeouts {
 public:
  explicit Timeouts(const Sysctls& sysctls) {
    const auto read = [&](const std::string& name) {
      return NumberOf(sysctls, "net/netfilter/nf_conntrack_" + name).value_or(0);
    };
    for (std::size_t state = 1; state < kTcpStates; ++state)
      tcp_[state] = read(std::string("tcp_timeout_") + kTimeoutNames[state]);
    udp_ = read("udp_timeout");
    udp_stream_ = read("udp_timeout_stream");
  }

  std::optional<double> IdleSeconds(const Connection& connection) const {
    if ((connection.status & (IPS_OFFLOAD | IPS_FIXED_TIMEOUT)) != 0) return std::nullopt;
    std::int64_t whole = 0;
    if (connection.key.protocol == IPPROTO_TCP) {
      whole = tcp_[static_cast<std::size_t>(connection.tcp_state) % kTcpStates];
      if (connection.tcp_state == TcpState::kEstablished && connection.timeout_seconds <= kUnacknowledgedSeconds)
        return std::nullopt;
    } else if (connection.key.protocol == IPPROTO_UDP) {
      whole = (connection.status & IPS_ASSURED) != 0 ? udp_stream_ : udp_;
    }
    if (whole == 0 || connection.timeout_seconds > whole) return std::nullopt;
    return static_cast<double>(whole - connection.timeout_seconds);
  }

 private:
  std::array<std::int64_t, kTcpStates> tcp_{};
  std::int64_t udp_ = 0;
  std::int64_t udp_stream_ = 0;
};

bool IsHalfOpen(const Connection& connection) {
  return connection.key.protocol == IPPROTO_TCP &&
         (connection.tcp_state == TcpState::kSynSent || connection.tcp_state == TcpState::kSynRecv ||
          connection.tcp_state == TcpState::kSynSent2);
}

bool IsEnded(const Connection& connection) {
  return connection.key.protocol == IPPROTO_TCP && connection.tcp_state >= TcpState::kFinWait &&
         connection.tcp_state <= TcpState::kClose;
}

// Short connections by how many seconds ago their last packet came.
using RecentSeconds = std::array<std::uint64_t, Census::kRecentSeconds>;

void CountOne(const Connection& connection, const Timeouts& timeouts, SourceCensus& source, RecentSeconds& recent) {
  ++source.connections;
  const bool unreplied = (connection.status & IPS_SEEN_REPLY) == 0;
  const bool is_tcp = connection.key.protocol == IPPROTO_TCP;
  const auto idle = timeouts.IdleSeconds(connection);
  source.half_open += IsHalfOpen(connection);
  source.unreplied += unreplied;
  source.ended += IsEnded(connection);
  source.refused += is_tcp && connection.tcp_state == TcpState::kClose;
  if (is_tcp && connection.tcp_state == TcpState::kEstablished) {
    ++source.established;
    if (idle && *idle >= Census::kIdleSeconds) {
      ++source.idle;
      source.oldest_idle_seconds = std::max(source.oldest_idle_seconds, *idle);
    }
  } else if (idle && *idle < static_cast<double>(Census::kRecentSeconds) &&
             (is_tcp ? IsHalfOpen(connection) || IsEnded(connection) : (connection.status & IPS_ASSURED) == 0)) {
    ++recent[static_cast<std::size_t>(*idle)];
  }
}

double WorstRate(const RecentSeconds& recent) {
  std::uint64_t worst = 0;
  for (std::size_t first = 0; first + Census::kRateSeconds <= recent.size(); ++first) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < Census::kRateSeconds; ++i) sum += recent[first + i];
    worst = std::max(worst, sum);
  }
  return static_cast<double>(worst) / static_cast<double>(Census::kRateSeconds);
}

using Pointers = std::vector<const Connection*>;

// `first` to `last` belong to one source, ordered by destination port.
SourceCensus CountSource(Pointers::const_iterator first, Pointers::const_iterator last, const Timeouts& timeouts) {
  SourceCensus source;
  source.source = (*first)->key.SourceAddress();
  std::vector<std::array<std::uint8_t, 16>> addresses;
  addresses.reserve(static_cast<std::size_t>(last - first));
  std::uint64_t of_port = 0;
  RecentSeconds recent{};
  for (auto at = first; at != last; ++at) {
    CountOne(**at, timeouts, source, recent);
    addresses.push_back((*at)->key.destination);
    const bool has_ports = (*at)->key.protocol != IPPROTO_ICMP && (*at)->key.protocol != IPPROTO_ICMPV6;
    if (!has_ports) continue;
    const bool same = at != first && (*(at - 1))->key.destination_port == (*at)->key.destination_port && of_port > 0;
    if (!same) ++source.destination_ports;
    of_port = same ? of_port + 1 : 1;
    if (of_port > source.first_port_connections) {
      source.first_port_connections = of_port;
      source.first_port = (*at)->key.destination_port;
    }
  }
  source.short_rate = WorstRate(recent);
  std::sort(addresses.begin(), addresses.end());
  source.destination_addresses =
      static_cast<std::uint64_t>(std::unique(addresses.begin(), addresses.end()) - addresses.begin());
  return source;
}

std::vector<DestinationCensus> CountHalfOpen(const ConnectionList& list) {
  using Place = std::tuple<Family, std::array<std::uint8_t, 16>, std::uint16_t>;
  std::vector<std::pair<Place, std::array<std::uint8_t, 16>>> all;
  for (const Connection& connection : list.connections) {
    const FlowKey& key = connection.key;
    if (IsHalfOpen(connection)) all.push_back({{key.family, key.destination, key.destination_port}, key.source});
  }
  std::sort(all.begin(), all.end());
  std::vector<DestinationCensus> destinations;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool is_new = i == 0 || all[i].first != all[i - 1].first;
    const auto& [family, address, port] = all[i].first;
    if (is_new) destinations.push_back({{address, family}, port, IPPROTO_TCP, 0, 0});
    ++destinations.back().half_open;
    if (is_new || all[i].second != all[i - 1].second) ++destinations.back().half_open_sources;
  }
  std::sort(destinations.begin(), destinations.end(),
            [](const auto& one, const auto& other) { return one.half_open > other.half_open; });
  if (destinations.size() > kDestinationsMax) destinations.resize(kDestinationsMax);
  return destinations;
}

}  // namespace

std::string StateOf(const Connection& connection) {
  const bool is_tcp = connection.key.protocol == IPPROTO_TCP;
  const auto index = is_tcp ? FlowStateIndex::Tcp(static_cast<std::uint8_t>(connection.tcp_state))
                            : FlowStateIndex::Other(connection.key.protocol, (connection.status & IPS_SEEN_REPLY) != 0);
  return ProtocolName(connection.key.protocol) + " " + StateName(index);
}

std::optional<double> IdleSeconds(const Connection& connection, const Sysctls& sysctls) {
  return Timeouts(sysctls).IdleSeconds(connection);
}

const SourceCensus* Census::Of(const IpAddress& source) const {
  const auto found =
      std::find_if(sources.begin(), sources.end(), [&](const SourceCensus& each) { return each.source == source; });
  return found == sources.end() ? nullptr : &*found;
}

double Census::ShareOf(std::size_t first_sources) const {
  std::uint64_t held = 0;
  for (std::size_t i = 0; i < std::min(first_sources, sources.size()); ++i) held += sources[i].connections;
  return connections == 0 ? 0 : static_cast<double>(held) / static_cast<double>(connections);
}

Census TakeCensus(const ConnectionList& list, const Sysctls& sysctls) {
  const Timeouts timeouts(sysctls);
  Census census;
  Pointers sorted;
  sorted.reserve(list.connections.size());
  std::array<std::uint64_t, FlowStateIndex::kCount> states{};
  for (const Connection& connection : list.connections) {
    sorted.push_back(&connection);
    const bool is_tcp = connection.key.protocol == IPPROTO_TCP;
    census.tcp += is_tcp;
    const auto index = is_tcp
                           ? FlowStateIndex::Tcp(static_cast<std::uint8_t>(connection.tcp_state))
                           : FlowStateIndex::Other(connection.key.protocol, (connection.status & IPS_SEEN_REPLY) != 0);
    ++states[index.value()];
  }
  for (std::size_t i = 0; i < states.size(); ++i) {
    const FlowStateIndex index(i);
    if (states[i] != 0) census.states[ProtocolName(index.protocol()) + " " + StateName(index)] = states[i];
  }
  std::sort(sorted.begin(), sorted.end(), [](const Connection* one, const Connection* other) {
    return std::tie(one->key.family, one->key.source, one->key.destination_port) <
           std::tie(other->key.family, other->key.source, other->key.destination_port);
  });
  for (auto first = sorted.cbegin(); first != sorted.cend();) {
    auto last = first + 1;
    while (last != sorted.cend() && (*last)->key.source == (*first)->key.source &&
           (*last)->key.family == (*first)->key.family)
      ++last;
    census.sources.push_back(CountSource(first, last, timeouts));
    first = last;
  }
  for (const SourceCensus& source : census.sources) {
    census.connections += source.connections;
    census.half_open += source.half_open;
    census.unreplied += source.unreplied;
    census.idle += source.idle;
  }
  std::sort(census.sources.begin(), census.sources.end(),
            [](const SourceCensus& one, const SourceCensus& other) { return one.connections > other.connections; });
  census.half_open_destinations = CountHalfOpen(list);
  return census;
}

}  // namespace conntally::diagnose

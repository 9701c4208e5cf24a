// The daemon's answers, as top shows them: plain values; all texts are harmless (text.h), whatever answered. Any
// thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "collectors/system/result.h"

namespace conntally::top {

struct Limit {
  std::string origin;
  std::uint64_t connections = 0;
  std::uint64_t counted = 0;
  double usage = 0;
  bool approximate = false;
  std::string rule;  // empty: not from a rule
};

struct Drop {
  std::string rule;  // empty: not known
  std::string via;
  std::uint64_t packets = 0;
};

struct Source {
  std::string name;
  std::uint64_t connections = 0;
  std::uint64_t unreplied = 0;
  std::uint64_t opened = 0;
  std::uint64_t closed = 0;
  double new_rate = 0;
  double drop_rate = 0;
  std::uint64_t destination_ports = 0;
  std::vector<Limit> limits;  // the most used first
  std::vector<Drop> drops;    // the most packets first
  std::string first_seen;
  std::string last_seen;

  std::uint64_t dropped_packets() const {
    std::uint64_t packets = 0;
    for (const Drop& drop : drops) packets += drop.packets;
    return packets;
  }
  double unreplied_share() const {
    return connections == 0 ? 0 : static_cast<double>(unreplied) / static_cast<double>(connections);
  }
};

struct State {
  std::string name;  // "tcp established"
  std::uint64_t connections = 0;
};

struct Table {
  std::uint64_t entries = 0;
  std::uint64_t limit = 0;  // 0: not known
  std::optional<double> seconds_until_full;
  std::uint64_t drops = 0;
  std::uint64_t early_drops = 0;
  std::uint64_t insert_failed = 0;
};

// The fullest pair of translated address and destination.
struct NatPorts {
  std::string use;  // "203.0.113.1 to 198.51.100.7 port 443 (tcp)"
  std::uint64_t used = 0;
  std::uint64_t closed = 0;  // of the used ones: those that the kernel reuses
  std::uint64_t available = 0;
};

struct DropRule {
  std::string place;  // "nftables inet filter input"
  std::string verdict;
  std::string rule;
  std::uint64_t packets = 0;
  double packets_per_second = 0;
};

struct Collector {
  std::string name;
  bool works = false;
  bool off = false;  // cannot work here, which is not a fault
  std::string failure;
};

struct DaemonStatus {
  std::string version;
  std::string host;
  std::string now;
  bool ready = false;
  bool synced = false;
  std::string verdict;  // why the figures can be trusted, or not
  std::uint64_t connections = 0;
  std::uint64_t unreplied = 0;
  std::uint64_t sources = 0;
  std::optional<Table> table;  // absent: the kernel does not report it
  std::optional<NatPorts> nat;
  std::vector<State> states;  // the most connections first
  double opened_per_second = 0;
  double closed_per_second = 0;
  double dropped_packets_per_second = 0;
  double kernel_losses_per_second = 0;  // drops, early drops and failed insertions
  std::vector<DropRule> drop_rules;
  std::vector<Collector> collectors;
  std::uint64_t events_lost = 0;
  std::uint64_t missed = 0;
  std::uint64_t stale = 0;
  std::uint64_t turned_away = 0;  // by all bounds
  std::optional<double> seconds_since_reconcile;
};

struct Alert {
  std::string name;
  std::string severity;
  std::string state;
  std::string source;
  std::string rule;
  std::string since;
  std::string summary;
  std::string description;
  bool degraded = false;
};

struct PortKind {
  std::string protocol;
  std::uint64_t destination_port = 0;
  std::string state;
  std::uint64_t connections = 0;
};

// Packets of one source to one destination.
struct LateDrop {
  std::string last;  // when
  std::string source, destination, protocol, interface, hook;
  std::string rule;  // empty: not known
  std::uint64_t port = 0;
  std::uint64_t packets = 0;
};

// The connections of one source by port and state.
struct Detail {
  bool pending = true;  // not queried yet
  double age_seconds = 0;
  std::string top_port;  // "tcp/443"; empty: none
  std::vector<PortKind> kinds;
  std::uint64_t others = 0;
};

// Columns of equal length, oldest first; not a number: not known.
using Series = std::vector<double>;

struct Model {
  bool answered = false;  // at least once
  std::string trouble;    // why the last round failed; empty: it did not
  std::chrono::steady_clock::time_point answered_at{};

  DaemonStatus status;
  std::vector<Source> sources;
  std::uint64_t sources_total = 0;
  bool alerts_known = false;
  std::vector<Alert> alerts;
  std::map<std::string, Detail> details;  // by source's name; of shown sources
  std::vector<LateDrop> late_drops;       // newest first; only while shown
  Series entries;
  std::string opened_source;  // the source of the following:
  std::optional<Source> opened;
  Series opened_connections, opened_new_rate, opened_drop_rate;
};

using Taken = ::conntally::Status;

// Each puts one answer of the daemon into the model. A malformed answer is an error and changes nothing.
Taken TakeStatus(const std::string& answer, Model& model);
Taken TakeSources(const std::string& answer, Model& model);
Taken TakeOpenedSource(const std::string& answer, Model& model);
Taken TakeAlerts(const std::string& answer, Model& model);
Taken TakeDrops(const std::string& answer, Model& model);
Taken TakeDetails(const std::string& answer, Model& model);
Taken TakeHistory(const std::string& answer, Model& model);
Taken TakeOpenedHistory(const std::string& answer, Model& model);

}  // namespace conntally::top

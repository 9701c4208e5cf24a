#include "daemon/api/sources/source_details.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>
#include <ranges>
#include <utility>
#include <vector>

#include "collectors/system/network_namespace.h"
#include "collectors/tally/protocol_names.h"
#include "config/notation/address_notation.h"

namespace conntally {
namespace {

using Json = nlohmann::ordered_json;
using Kind = SurveyedConnections::Kind;

constexpr std::size_t kRowsMax = SurveyedConnections::kKindsMax;

Json TopPort(const SurveyedConnections& connections) {
  std::map<std::pair<std::uint8_t, std::uint16_t>, std::uint64_t> by_port;
  for (const auto& [kind, count] : connections.kinds) by_port[{kind.protocol, kind.destination_port}] += count;
  const auto top = std::ranges::max_element(by_port, {}, [](const auto& port) { return port.second; });
  if (top == by_port.end()) return nullptr;
  const auto [protocol, port] = top->first;
  return {{"protocol", ProtocolName(protocol)}, {"destination_port", port}, {"connections", top->second}};
}

struct Query {
  std::vector<Prefix> sources;
  std::size_t rows = 100;
};

Result<Query> ParseQuery(const http::Request& request) {
  Query query;
  for (const auto& [name, value] : request.query) {
    if (name == "source") {
      for (const auto part : std::views::split(value, ',')) {
        const auto source = ParsePrefix(std::string_view(part.begin(), part.end()), HostBits::kRefused);
        if (!source) {
          return Error{
              "source is one or more addresses, or groups such as /api/v1/sources names them, separated by commas; " +
              source.error().message};
        }
        query.sources.push_back(*source);
      }
    } else if (name == "rows") {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), query.rows);
      if (error != std::errc{} || end != value.data() + value.size() || query.rows > kRowsMax) {
        return Error{"rows is a number from 0 to " + std::to_string(kRowsMax)};
      }
    } else {
      return Error{"no parameter '" + name + "'; there are source, rows"};
    }
  }
  if (query.sources.empty() || query.sources.size() > SourceDetails::kWantedMax) {
    return Error{"source is wanted, of 1 to " + std::to_string(SourceDetails::kWantedMax) + " addresses"};
  }
  return query;
}

}  // namespace

std::string SurveyedJson(const std::string& name, const SurveyedConnections& connections, double age_seconds,
                         std::size_t rows) {
  std::vector<std::pair<Kind, std::uint64_t>> kinds(connections.kinds.begin(), connections.kinds.end());
  std::ranges::stable_sort(kinds, std::greater{}, &std::pair<Kind, std::uint64_t>::second);
  std::uint64_t others = connections.others;
  Json list = Json::array();
  for (const auto& [kind, count] : kinds) {
    if (list.size() >= rows) {
      others += count;
      continue;
    }
    list.push_back({{"protocol", ProtocolName(kind.protocol)},
                    {"destination_port", kind.destination_port},
                    {"state", StateName(FlowStateIndex(kind.state))},
                    {"connections", count}});
  }
  const Json json = {{"source", name},
                     {"pending", false},
                     {"age_seconds", std::max(0.0, age_seconds)},
                     {"connections", connections.connections},
                     {"top_port", TopPort(connections)},
                     {"kinds", std::move(list)},
                     {"others", others}};
  return json.dump();
}

void SourceDetails::Start() {
  worker_.Start(
      "details", [this](const std::stop_token& stop) { Run(stop); },
      [this](const Error& error) {
        const std::lock_guard lock(mutex_);
        failure_ = "cannot list connections: " + error.message;
      });
}

Prefix SourceDetails::GroupOf(const IpAddress& source) const {
  const std::uint8_t length = grouping_.Of(source.family);
  return {Masked(source, length), length};
}

// Call it with mutex_ held. False if there is no room for another.
bool SourceDetails::Want(const IpAddress& source, Clock::time_point now) {
  const auto found = wanted_.find(source);
  if (found == wanted_.end()) {
    // The source with the oldest question makes room.
    const auto oldest = std::ranges::min_element(wanted_, {}, [](const auto& wanted) { return wanted.second.until; });
    if (wanted_.size() >= kWantedMax && oldest->second.until > now + kWantedFor - kFreshFor) return false;
    if (wanted_.size() >= kWantedMax) wanted_.erase(oldest);
  }
  wanted_[source].until = now + kWantedFor;
  return true;
}

http::Response SourceDetails::Answer(const http::Request& request) {
  const auto query = ParseQuery(request);
  if (!query) return http::ErrorResponse(400, query.error().message);
  for (const Prefix& asked : query->sources) {
    const Prefix group = GroupOf(asked.address);
    if (asked.length != group.length && asked.length != AddressBits(asked.address.family))
      return http::ErrorResponse(400, asked.ToString() + " is no source here: sources are " + group.ToString() +
                                          " and the like; /api/v1/sources?source= takes any network");
  }
  std::string sources;
  const auto now = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    for (const Prefix& asked : query->sources) {
      const Prefix group = GroupOf(asked.address);
      if (!Want(group.address, now)) return http::ErrorResponse(503, "too many sources are being looked at; ask again");
      const Wanted& wanted = wanted_.at(group.address);
      if (!sources.empty()) sources += ",\n";
      if (wanted.looked) {
        const double age = std::chrono::duration<double>(now - *wanted.looked).count();
        sources += SurveyedJson(group.ToString(), wanted.connections, age, query->rows);
      } else {
        sources += Json{{"source", group.ToString()}, {"pending", true}}.dump();
      }
    }
    sources = "{\"sources\": [" + sources + "], \"failure\": " +
              (failure_.empty() ? Json(nullptr) : Json(failure_)).dump(-1, ' ', false, Json::error_handler_t::replace) +
              "}\n";
  }
  woken_.notify_all();
  return {.content_type = http::kJsonContentType, .body = std::move(sources)};
}

std::vector<IpAddress> SourceDetails::Due(Clock::time_point now) {
  std::erase_if(wanted_, [&](const auto& wanted) { return wanted.second.until < now; });
  bool stale = false;
  std::vector<IpAddress> sources;
  for (const auto& [source, wanted] : wanted_) {
    sources.push_back(source);
    stale = stale || !wanted.looked || now - *wanted.looked >= kFreshFor;
  }
  if (!stale || now < not_before_) sources.clear();
  return sources;
}

void SourceDetails::Publish(SourceSurvey survey, const Status& status, Clock::time_point began) {
  const auto now = Clock::now();
  const std::lock_guard lock(mutex_);
  // A new one is queried soon; others wait, to limit the load on the kernel.
  not_before_ = now + std::max<Clock::duration>((now - began) * kPause, std::chrono::milliseconds(250));
  if (!status && status.error().code == ECANCELED) return;
  const std::string failure = status ? "" : "cannot list connections: " + status.error().message;
  if (failure != failure_ && !failure.empty()) spdlog::warn("sources: {}", failure);
  failure_ = failure;
  if (!status) return;
  for (const auto& [source, connections] : survey.sources()) {
    const auto wanted = wanted_.find(source);
    if (wanted == wanted_.end()) continue;
    wanted->second.looked = began;
    wanted->second.connections = connections;
  }
}

void SourceDetails::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::vector<IpAddress> sources;
    const auto now = Clock::now();
    {
      std::unique_lock lock(mutex_);
      sources = Due(now);
      if (sources.empty()) {
        if (wanted_.empty()) {
          woken_.wait(lock, stop, [&] { return !wanted_.empty(); });
        } else {
          woken_.wait_for(lock, stop, std::chrono::milliseconds(250), [] { return false; });
        }
        continue;
      }
    }
    SourceSurvey survey(sources, grouping_);
    FollowedNamespace network_namespace(network_namespace_path_);  // left while nobody asks, so that it can be freed
    const auto entered = network_namespace.Follow();
    const Status status = entered ? SurveyKernel(sources, grouping_, stop, survey) : entered.error();
    Publish(std::move(survey), status, now);
  }
}

}  // namespace conntally

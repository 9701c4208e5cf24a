#include "daemon/api/nat_api.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "collectors/tally/protocol_names.h"
#include "daemon/api/values/query_values.h"

namespace conntally {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLimit = 50;

}  // namespace

Json PortUseJson(const PortUse& use) {
  return {{"nat_address", use.nat_address.ToString()},
          {"protocol", ProtocolName(use.destination.protocol)},
          {"destination", use.destination.address.ToString()},
          {"destination_port", use.destination.port},
          {"used", use.used},
          {"closed", use.closed},
          {"available", use.available()},
          {"first_port", use.ports.first},
          {"last_port", use.ports.last}};
}

http::Response AnswerNat(const NatFigures* figures, const NameOfSource& name_of, const http::Request& request) {
  std::size_t limit = kLimit;
  for (const auto& [name, value] : request.query) {
    if (name != "limit") return http::ErrorResponse(400, "no parameter '" + name + "'; there is limit");
    if (request.query.count(name) > 1) return http::ErrorResponse(400, "'limit' is given twice");
    const auto parsed = ParseLimit(value);
    if (!parsed) return http::ErrorResponse(400, parsed.error().message);
    limit = *parsed;
  }
  const std::size_t total = figures != nullptr ? figures->uses.size() : 0;
  Json uses = Json::array();
  for (std::size_t i = 0; i < std::min(total, limit); ++i) {
    const PortUse& use = figures->uses[i];
    Json json = PortUseJson(use);
    Json sources = Json::array();
    for (const PortUse::Holder& holder : use.holders)
      sources.push_back({{"source", name_of(holder.source)}, {"connections", holder.connections}});
    json["sources"] = std::move(sources);
    json["sources_total"] = use.sources;
    uses.push_back(std::move(json));
  }
  return {.content_type = http::kJsonContentType, .body = Json{{"nat", uses}, {"total", total}}.dump() + "\n"};
}

}  // namespace conntally

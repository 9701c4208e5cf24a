#include "daemon/api/sources/source_details.h"

#include <nlohmann/json.hpp>

#include "test/support/catch.h"

using namespace conntally;
using Json = nlohmann::json;

namespace {

IpAddress Address(const std::string& text) { return IpAddress::Parse(text).value(); }

}  // namespace

TEST_CASE("a survey counts the sources asked for by protocol, port and state, and bounds what it tells apart") {
  SourceSurvey survey({Address("192.0.2.0")}, {.ipv4_prefix = 24});
  FlowEvent flow;
  flow.key.source = Address("192.0.2.7").bytes;
  flow.key.protocol = 6;
  flow.key.destination_port = 443;
  flow.tcp_state = TcpState::kEstablished;
  survey.Add(flow);
  survey.Add(flow);
  flow.key.source = Address("198.51.100.1").bytes;
  survey.Add(flow);
  flow.key.source = Address("192.0.2.8").bytes;
  for (int port = 1; port <= 2000; ++port) {
    flow.key.destination_port = static_cast<std::uint16_t>(port + 1000);
    survey.Add(flow);
  }
  const SurveyedConnections& connections = survey.sources().at(Address("192.0.2.0"));
  CHECK(connections.connections == 2002);
  CHECK(connections.kinds.size() == SurveyedConnections::kKindsMax);
  CHECK(connections.others == 2002 - 2 - (SurveyedConnections::kKindsMax - 1));
  const Json json = Json::parse(SurveyedJson("192.0.2.0/24", connections, 1, 2));
  CHECK(json.at("kinds").size() == 2);
  CHECK(json.at("kinds").at(0) ==
        Json::parse(R"({"protocol": "tcp", "destination_port": 443, "state": "established", "connections": 2})"));
  CHECK(json.at("others") == 2002 - 3);
  CHECK(json.at("top_port").at("destination_port") == 443);
}

TEST_CASE("details are refused in words, and pending until somebody has looked") {
  SourceDetails details({}, "/nonexistent");
  const auto ask = [&](std::multimap<std::string, std::string> query) {
    return details.Answer({.path = "", .query = std::move(query)});
  };
  CHECK(ask({}).status == 400);
  CHECK(ask({{"source", "192.0.2.1,"}}).status == 400);
  CHECK(ask({{"source", "192.0.2.1"}, {"rows", "1025"}}).status == 400);
  CHECK(ask({{"colour", "1"}}).status == 400);
  const auto answer = ask({{"source", "192.0.2.1,2001:db8::1"}, {"rows", "0"}});
  CHECK(answer.status == 200);
  const Json json = Json::parse(std::get<std::string>(answer.body));
  CHECK(json.at("sources").at(1) == Json::parse(R"({"source": "2001:db8::1", "pending": true})"));
}

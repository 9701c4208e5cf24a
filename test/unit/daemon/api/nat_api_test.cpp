// What /api/v1/nat answers.
#include "daemon/api/nat_api.h"

#include <netinet/in.h>

#include <nlohmann/json.hpp>

#include "test/support/catch.h"

using namespace conntally;

namespace {

nlohmann::json Answered(const NatFigures* figures, std::multimap<std::string, std::string> query = {}) {
  const auto name_of = [](const IpAddress& source) { return source.ToString(); };
  const http::Response response = AnswerNat(figures, name_of, {"/api/v1/nat", std::move(query)});
  auto json = nlohmann::json::parse(std::get<std::string>(response.body));
  json["status"] = response.status;
  return json;
}

NatFigures TwoUses() {
  PortUse use;
  use.nat_address = *IpAddress::Parse("203.0.113.1");
  use.destination = {*IpAddress::Parse("198.51.100.7"), 443, IPPROTO_TCP};
  use.ports = {5000, 5099};
  use.used = 90;
  use.closed = 2;
  use.holders = {{*IpAddress::Parse("10.0.0.2"), 70}, {*IpAddress::Parse("10.0.0.3"), 20}};
  use.sources = 2;
  NatFigures figures;
  figures.uses = {use, use};
  figures.uses[1].destination.protocol = IPPROTO_UDP;
  return figures;
}

}  // namespace

TEST_CASE("each use of ports is told with who holds most, as many as are asked for") {
  const NatFigures figures = TwoUses();
  const auto all = Answered(&figures);
  REQUIRE(all["nat"].size() == 2);
  CHECK(all["nat"][0] == nlohmann::json::parse(
                             R"({"nat_address": "203.0.113.1", "protocol": "tcp", "destination": "198.51.100.7",
        "destination_port": 443, "used": 90, "closed": 2, "available": 100, "first_port": 5000, "last_port": 5099,
        "sources": [{"source": "10.0.0.2", "connections": 70}, {"source": "10.0.0.3", "connections": 20}],
        "sources_total": 2})"));
  CHECK(all["nat"][1]["protocol"] == "udp");
  CHECK(all["total"] == 2);
  CHECK(Answered(&figures, {{"limit", "1"}})["nat"].size() == 1);
}

TEST_CASE("before the first look there are no uses, and a bad question is refused") {
  CHECK(Answered(nullptr)["nat"].empty());
  for (const char* limit : {"0", "1000001", "-1", "ten", ""})
    CHECK(Answered(nullptr, {{"limit", limit}})["status"] == 400);
  CHECK(Answered(nullptr, {{"limit", "1"}, {"limit", "2"}})["status"] == 400);
  CHECK(Answered(nullptr, {{"sort", "used"}})["status"] == 400);
}

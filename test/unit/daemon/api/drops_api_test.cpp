#include "daemon/api/drops_api.h"

#include <nlohmann/json.hpp>

#include "daemon/http/target.h"
#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

using Strings = std::vector<std::string>;

constexpr TwoClocks kNow{std::chrono::sys_seconds(1'700'000'000s), std::chrono::steady_clock::time_point(10h)};

http::Request Asked(const std::string& query) { return http::ParseTarget("/api/v1/drops?" + query).value(); }

std::string ErrorOf(const std::string& query) {
  const auto parsed = ParseDropsQuery(Asked(query));
  return parsed ? "" : parsed.error().message;
}

RecentDrop Drop(const char* source, const char* destination, std::chrono::seconds ago, const char* rule = "") {
  RecentDrop drop;
  drop.ends = {IpAddress::Parse(source).value(), IpAddress::Parse(destination), 80};
  drop.protocol = 6;
  drop.hooks = HookSet(HookSet::kForward | HookSet::kPostrouting);
  drop.rule = rule;
  drop.packets = 3;
  drop.first = drop.last = kNow.steady - ago;
  return drop;
}

nlohmann::json Answer(const std::string& query, const std::vector<RecentDrop>& all) {
  const auto recent = [&](const std::function<bool(const RecentDrop&)>& wanted) {
    std::vector<RecentDrop> found;
    for (const RecentDrop& drop : all) {
      if (wanted(drop)) found.push_back(drop);
    }
    return found;
  };
  http::Response response = AnswerDrops(recent, kNow, Asked(query));
  REQUIRE(response.status == 200);
  std::string text;
  auto stream = std::get<http::BodyStream>(response.body);
  for (std::string piece = stream(); !piece.empty(); piece = stream()) text += piece;
  return nlohmann::json::parse(text);
}

Strings Sources(const nlohmann::json& answer) {
  Strings sources;
  for (const auto& drop : answer["drops"]) sources.push_back(drop["source"]);
  return sources;
}

}  // namespace

TEST_CASE("what is asked wrongly is refused, with what is allowed") {
  CHECK(ErrorOf("since=10m&source=10.0.0.0/8&destination=2001:db8::1&rule=&limit=1000000").empty());
  CHECK(ErrorOf("since=11m").find("1s to 10m") != std::string::npos);
  CHECK(ErrorOf("since=10").find("1s to 10m") != std::string::npos);
  CHECK(ErrorOf("destination=10.0.0.1/8").find("destination is an address") != std::string::npos);
  CHECK(ErrorOf("limit=0").find("1 to 1000000") != std::string::npos);
  CHECK(ErrorOf("limit=5&limit=5").find("twice") != std::string::npos);
  CHECK(ErrorOf("sort=packets").find("since, source, destination, rule, limit") != std::string::npos);
}

TEST_CASE("the newest come first, as far as they are asked for") {
  const std::vector<RecentDrop> all = {Drop("10.0.0.1", "192.0.2.1", 50s, "a"), Drop("10.0.0.2", "192.0.2.2", 5s),
                                       Drop("10.0.0.3", "192.0.2.3", 500s, "b")};
  CHECK(Sources(Answer("", all)) == Strings{"10.0.0.2", "10.0.0.1", "10.0.0.3"});
  CHECK(Sources(Answer("since=1m", all)) == Strings{"10.0.0.2", "10.0.0.1"});
  CHECK(Sources(Answer("source=10.0.0.2/31", all)) == Strings{"10.0.0.2", "10.0.0.3"});
  CHECK(Sources(Answer("destination=192.0.2.1", all)) == Strings{"10.0.0.1"});
  CHECK(Sources(Answer("rule=b", all)) == Strings{"10.0.0.3"});
  CHECK(Sources(Answer("rule=", all)) == Strings{"10.0.0.2"});
  const auto first = Answer("limit=1", all);
  CHECK(Sources(first) == Strings{"10.0.0.2"});
  CHECK(first["total"] == 3);
  CHECK(Answer("source=172.16.0.1", all)["drops"].empty());
}

TEST_CASE("a row tells what is known, and null for what is not") {
  RecentDrop drop = Drop("10.0.0.1", "192.0.2.1", 5s, "tcp dport 80 drop");
  drop.first -= 2s;
  const auto row = Answer("", {drop})["drops"][0];
  CHECK(row == nlohmann::json::parse(R"({"first": "2023-11-14T22:13:13Z", "last": "2023-11-14T22:13:15Z",
      "source": "10.0.0.1", "destination": "192.0.2.1", "port": 80, "protocol": "tcp", "interface": null,
      "hook": "forward,postrouting", "rule": "tcp dport 80 drop", "via": "ebpf", "packets": 3})"));
  drop.ends = {drop.ends.source, std::nullopt, 0};
  drop.protocol = 1;
  drop.icmp_type = 8;
  drop.hooks = HookSet();
  drop.interface_name = "eth0";
  drop.rule.clear();
  const auto other = Answer("", {drop})["drops"][0];
  CHECK(other["destination"].is_null());
  CHECK(other["port"].is_null());
  CHECK(other["icmp_type"] == 8);
  CHECK(other["hook"].is_null());
  CHECK(other["interface"] == "eth0");
  CHECK(other["rule"].is_null());
}

#include "daemon/alerts/drop_judges/judge_drops.h"

#include "test/support/catch.h"
#include "test/unit/daemon/alerts/drop_judges/served_host.h"

using namespace conntally;
using namespace std::chrono_literals;

TEST_CASE("eight of forty customers that a rule begins to drop are told within 40 s, and clear within a minute") {
  Served host(40);
  host.Lose(1, 8, 0.5, 40s);
  CHECK(host.Firing() == Strings{"RegularSourcesDropped warning "});
  const AlertReading* reading = host.Find(AlertKind::kRegularSourcesDropped);
  REQUIRE(reading != nullptr);
  CHECK(reading->description.find("8 of 40 regular sources") != std::string::npos);
  CHECK(reading->description.find("no known rule") != std::string::npos);
  host.Run(60s);
  CHECK(host.Firing().empty());
}

TEST_CASE("packets for which a translated address has no port left are no rule's doing") {
  Served host(40);
  auto nat = std::make_shared<NatFigures>();
  PortUse use;
  use.ports = {20'000, 20'063};
  use.used = 64;
  nat->uses.push_back(use);
  host.evidence.nat = nat;
  host.Lose(1, 8, 2, 40s);
  CHECK(host.Find(AlertKind::kRegularSourcesDropped) == nullptr);
  CHECK(host.Find(AlertKind::kSourceMatchesDropRule, Client(1)) == nullptr);
  host.Lose(1, 8, 0.5, 40s, "tcp dport 443 drop");
  CHECK(host.Find(AlertKind::kRegularSourcesDropped, "", "tcp dport 443 drop") != nullptr);
}

TEST_CASE("200 clients that lose a packet each three seconds are critical, and the rule is named") {
  Served host(200, 1);
  host.Lose(1, 200, 0.3, 45s, "tcp dport 443 drop");
  CHECK(host.Firing() == Strings{"RegularSourcesDropped critical "});
  CHECK(host.Find(AlertKind::kRegularSourcesDropped, "", "tcp dport 443 drop") != nullptr);
}

TEST_CASE("pods that wait 40 s for a service which rejects them are healthy, and told once it takes longer") {
  Served host(20);
  host.Reject("tcp dport 443 reject");
  host.Lose(1, 20, 0.9, 41s, "tcp dport 443 reject");
  CHECK(host.Firing().empty());
  host.Lose(1, 20, 0.9, 10s, "tcp dport 443 reject");
  CHECK(host.Firing() == Strings{"RegularSourcesDropped critical "});
}

TEST_CASE("a regular's packets to what is no service, and beside what it opens, are no trouble") {
  Served host(60);
  SECTION("broadcasts that nobody wants") {
    for (int second = 0; second < 90; ++second) {
      host.Lose(1, 50, 0.3, 1s, "", 1900, 1);
      for (auto& source : host.evidence.dropped) source.drops.targets = {{17, 1900, 10}};
    }
  }
  SECTION("a forbidden port now and then") { host.Lose(1, 30, 0.05, 120s, "", 23, 1); }
  SECTION("a few packets of a service, while most get through") { host.Lose(1, 50, 0.3, 90s, "", kPort, 1); }
  CHECK(host.Firing().empty());
}

TEST_CASE("a ban that finds one bot after another, each of which was connected before, is at its work") {
  Served host(40, 1);
  for (int bot = 1; bot <= 12; ++bot) host.Lose(bot, bot, 0.9, 25s, "ip saddr @banned drop");
  CHECK(host.Firing().empty());
}

TEST_CASE("regulars that try a port which never answered, and get through elsewhere, lose nothing") {
  Served host(30);
  const int first = GENERATE(1, 25);  // second at which one gets through: by then, of its pace, at most five would have
  for (int second = 0; second < 90; ++second) {
    for (int i = 1; i <= 30; ++i) {
      auto& drops = host.Dropped(Client(i), "", 4317, static_cast<std::uint64_t>(second / 2) + 2);
      drops.last_dropped = host.evidence.now;
      host.Figures(i).new_rate = 0.2;
      host.Figures(i).opened = second < first ? 0U : static_cast<std::uint64_t>(second - first + 5) / 5;
    }
    host.Run(1s);
    REQUIRE(host.Firing().empty());
  }
}

TEST_CASE("what a limit drops of regulars is a warning, and never critical") {
  Served host(40);
  auto ruleset = std::make_shared<Ruleset>();
  Rule rule;
  rule.text = "tcp dport 443 meter over 1/second drop";
  rule.verdict = Verdict::kDrop;
  rule.limits.emplace_back().kind = RuleLimit::Kind::kLimit;
  ruleset->rules.push_back(rule);
  auto figures = std::make_shared<RuleFigures>();
  figures->backends[RuleBackend::kNftables].snapshot.ruleset = ruleset;
  host.evidence.rules = figures;
  host.Run(60s);
  host.Lose(1, 40, 3, 60s, rule.text);
  CHECK(host.Firing() == Strings{"RegularSourcesDropped warning "});
}

TEST_CASE("one source that was regular for long, and loses all to a service, is told by itself") {
  Served host(40, 12);
  host.Lose(1, 1, 0.9, 40s, "ip saddr 192.0.2.1 drop");
  CHECK(host.Firing() == Strings{"RegularSourcesDropped warning "});
}

TEST_CASE("a stranger's dropped packets are a fact, and a warning after minutes past the critical rate") {
  Host host;
  const auto send = [&](double rate, std::chrono::seconds duration) {
    for (std::chrono::seconds second{0}; second < duration; ++second) {
      const auto so_far = host.evidence.dropped.empty() ? 0 : host.evidence.dropped[0].drops.packets;
      host.Dropped("198.51.100.9", "drop", 22, so_far + static_cast<std::uint64_t>(rate));
      host.Run(1s);
    }
  };
  host.Run(20s);
  send(20, 240s);
  CHECK(host.Firing() == Strings{"SourceMatchesDropRule info 198.51.100.9"});
  send(150, 250s);
  CHECK(host.Firing() == Strings{"SourceMatchesDropRule warning 198.51.100.9"});
}

TEST_CASE("a regular that a rule stops, and that goes on, is a warning by its source") {
  Served host(40);
  host.Lose(1, 1, 3, 60s, "drop");
  CHECK(host.Firing() == Strings{"SourceMatchesDropRule warning 192.0.2.1"});
}

TEST_CASE("a source that long lost packets to one rule, and now loses all to another, is the other's") {
  Served host(40, 4, 0s);
  host.Lose(1, 8, 1, 240s, "ip daddr @trackers drop", kPort, 5);
  std::uint64_t lost = 1;
  for (int second = 0; second < 40; ++second, lost += 2) {
    for (auto& source : host.evidence.dropped) {
      source.drops.packets += 2;
      source.drops.last_dropped = host.evidence.now;
      source.drops.shares.resize(1);
      source.drops.shares.push_back({"wrong drop", DropVia::kEbpf, lost});
    }
    host.Run(1s);
  }
  CHECK(host.Find(AlertKind::kRegularSourcesDropped, "", "wrong drop") != nullptr);
}

TEST_CASE("one client that waits 40 s for a service which rejects it is healthy as well") {
  Served host(40);
  host.Reject("reject");
  host.Lose(1, 1, 3, 41s, "reject");
  CHECK(std::ranges::none_of(host.Firing(), [](const std::string& told) { return told.find("warning") != told.npos; }));
  host.Lose(1, 1, 3, 60s, "reject");
  CHECK(host.Firing() == Strings{"SourceMatchesDropRule warning 192.0.2.1"});
}

TEST_CASE("who was regular is remembered over a restart, in bounded memory") {
  Served host(40);
  auto saved = host.reader.Save();
  saved["age_seconds"] = 20;
  saved["continues"] = true;
  Host restarted;
  REQUIRE(restarted.reader.Restore(saved).empty());
  restarted.Run(20s);
  for (int second = 0; second < 40; ++second) {
    for (int i = 1; i <= 8; ++i) restarted.Dropped(Client(i), "", kPort, static_cast<std::uint64_t>(second) / 2 + 1);
    restarted.Run(1s);
  }
  CHECK(restarted.Firing() == Strings{"RegularSourcesDropped warning "});
  saved["drops"]["regulars"] = {{"somebody", 4}};
  CHECK_FALSE(AlertReader().Restore(saved).empty());

  Regulars regulars;
  std::vector<SourceFigures> many(Regulars::kSourcesMax + 500);
  for (std::size_t i = 0; i < many.size(); ++i)
    many[i].source = *IpAddress::Parse(fmt::format("10.{}.{}.{}", i >> 16, i >> 8 & 255, i & 255));
  regulars.Add(many, SteadyTime{} + 1s);
  CHECK(regulars.size() <= Regulars::kSourcesMax);
  CHECK(regulars.Save().size() <= Regulars::kSavedMax);
}

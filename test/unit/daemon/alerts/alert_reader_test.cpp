#include "daemon/alerts/alert_reader.h"

#include "test/support/catch.h"
#include "test/unit/daemon/alerts/judged_host.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("a host where nothing is wrong has nothing to tell") {
  Host host;
  host.Source("192.0.2.7").connections = 80;
  host.Run(300s);
  CHECK(host.engine.alerts().empty());
}

TEST_CASE("a table that nears its limit fires, names who fills it, and clears") {
  Host host;
  host.Source("192.0.2.7").connections = 200;
  host.evidence.table->entries = 749;
  host.Run(60s);
  CHECK(host.Firing().empty());
  host.evidence.table->entries = 760;
  host.Run(35s);
  CHECK(host.Firing() == Strings{"ConntrackTableNearlyFull warning "});
  CHECK(host.Find(AlertKind::kConntrackTableNearlyFull)->description.find("192.0.2.7 (200)") != std::string::npos);
  host.evidence.table->entries = 950;
  host.Run(35s);
  CHECK(host.Firing() == Strings{"ConntrackTableNearlyFull critical "});
  host.evidence.table->entries = 600;
  host.Run(10s);
  CHECK(host.Firing().empty());
}

TEST_CASE("a table without a limit, or that cannot be read, is not judged") {
  Host host;
  host.evidence.table->entries = 990;
  host.evidence.table->limit = GENERATE(std::optional<std::uint64_t>(0), std::optional<std::uint64_t>());
  host.Run(60s);
  CHECK(host.Firing().empty());
  host.evidence.table.reset();
  CHECK(host.Look().blind[static_cast<std::size_t>(AlertKind::kConntrackTableNearlyFull)]);
}

TEST_CASE("a full table is predicted with who drives its growth") {
  Host host;
  host.evidence.table->entries = 400;
  host.evidence.entries_per_second = 2;
  host.evidence.seconds_until_full = 300;
  host.Source("192.0.2.7").connections = 10;
  host.Source("192.0.2.8").connections = 300;
  for (int i = 0; i < 65; ++i) {
    host.Source("192.0.2.7").connections += 3;
    host.Run(1s);
  }
  CHECK(host.Firing() == Strings{"ConntrackTableFillPredicted critical ", "SourceNearTableLimit warning 192.0.2.8"});
  const std::string& description = host.Find(AlertKind::kConntrackTableFillPredicted)->description;
  CHECK(description.find("by: 192.0.2.7 (1") != std::string::npos);
  CHECK(description.find("192.0.2.8") == std::string::npos);
  host.evidence.entries_per_second = 0;
  host.evidence.seconds_until_full = kNever;
  host.Run(6s);
  CHECK(host.Firing() == Strings{"SourceNearTableLimit warning 192.0.2.8"});
}

TEST_CASE("a table that is nearly empty is not predicted to be full") {
  Host host;
  host.evidence.table->entries = 40;
  host.evidence.entries_per_second = 20;
  host.evidence.seconds_until_full = 48;
  host.Run(120s);
  CHECK(host.Firing().empty());
}

TEST_CASE("what the kernel lost before the daemon looked is old") {
  Host host;
  Host fresh;
  host.Counter(TableCounter::kDrop) = 1000;
  CHECK(fresh.Firing().empty());
  Host started;
  started.reader = {};
  started.Counter(TableCounter::kDrop) = started.Counter(TableCounter::kEarlyDrop) =
      started.Counter(TableCounter::kInsertFailed) = 5000;
  started.evidence.table_full_messages = 7;
  started.Run(120s);
  CHECK(started.Firing().empty());
}

TEST_CASE("a table that was full while nobody looked is told, if the kernel's counters go on") {
  Host host;
  host.Counter(TableCounter::kDrop) = 70;
  host.Run(5s);
  auto saved = host.reader.Save();
  const bool continues = GENERATE(true, false);
  saved["continues"] = continues;
  saved["age_seconds"] = 600;
  Host restarted;
  restarted.reader = {};
  REQUIRE(restarted.reader.Restore(saved).empty());
  restarted.Counter(TableCounter::kDrop) = 500;
  restarted.Run(5s);
  if (!continues) {
    CHECK(restarted.Firing().empty());
    return;
  }
  CHECK(restarted.Firing() == Strings{"ConntrackTableFull critical "});
  CHECK(restarted.Find(AlertKind::kConntrackTableFull)->description.find("while conntally did not run, 430 packets") !=
        std::string::npos);
  restarted.Run(80s);
  CHECK(restarted.Firing().empty());
}

TEST_CASE("a strange saved past is left out, with the reason, whatever it holds") {
  for (const char* text :
       {"[]", "7", "{\"losses\": {\"drops\": -1}, \"continues\": true, \"age_seconds\": 1}",
        "{\"sources\": 3, \"age_seconds\": 1}", "{\"drops\": [], \"age_seconds\": 1}",
        "{\"spikes\": {\"dropped\": \"x\"}, \"age_seconds\": 1}", "{\"answers\": null, \"age_seconds\": 1}"}) {
    AlertReader reader;
    CHECK_FALSE(reader.Restore(nlohmann::json::parse(text)).empty());
  }
  CHECK(AlertReader().Restore(nlohmann::json::object()).empty());
  CHECK(AlertReader().Restore(AlertReader().Save()).empty());
}

TEST_CASE("a full table fires at the first loss, and for 45 s after the last") {
  Host host;
  host.Run(5s);
  SECTION("by dropped packets") { host.Counter(TableCounter::kDrop) += 1; }
  SECTION("by evicted entries") { host.Counter(TableCounter::kEarlyDrop) += 1; }
  SECTION("by the kernel's log") { host.evidence.table_full_messages += 1; }
  host.Run(1s);
  CHECK(host.Firing() == Strings{"ConntrackTableFull critical "});
  host.Run(43s);
  CHECK(host.Firing() == Strings{"ConntrackTableFull critical "});
  host.Run(12s);
  CHECK(host.Firing().empty());
}

TEST_CASE("clashes that the kernel also counts as drops are no full table") {
  Host host;
  host.Run(5s);
  for (int i = 0; i < 100; ++i) {
    ++host.Counter(TableCounter::kDrop);
    ++host.Counter(TableCounter::kInsertFailed);
    host.Run(1s);
  }
  CHECK(host.Firing() == Strings{"ConntrackInsertFailed warning "});
  host.Run(70s);
  CHECK(host.Firing().empty());
}

TEST_CASE("a trickle of failed insertions is ordinary") {
  Host host;
  for (int i = 0; i < 20; ++i) {
    ++host.Counter(TableCounter::kInsertFailed);
    host.Run(10s);
    CHECK(host.Firing().empty());
  }
}

TEST_CASE("a source's share is of what the table may hold, not of what it holds") {
  Host host;
  host.Source("192.0.2.7").connections = 90;
  host.evidence.table->entries = 90;
  host.Run(60s);
  CHECK(host.Firing().empty());
  host.Source("192.0.2.7").connections = 260;
  host.Run(35s);
  CHECK(host.Firing() == Strings{"SourceNearTableLimit warning 192.0.2.7"});
  host.Source("192.0.2.7").connections = 501;
  host.Run(35s);
  CHECK(host.Firing() == Strings{"SourceNearTableLimit critical 192.0.2.7"});
}

TEST_CASE("a source near a limit fires once for each limit, which it names") {
  Host host;
  host.Source("192.0.2.7").connections = 9;
  auto& limits = host.evidence.sources[0].limits;
  limits = {{.origin = LimitOrigin::kConnlimit, .connections = 10, .counted = 9, .rule = "-m connlimit -j REJECT"},
            {.origin = LimitOrigin::kConfig, .connections = 11, .counted = 9},
            {.origin = LimitOrigin::kConnlimit, .connections = 12, .counted = 9, .rule = "-m connlimit -j REJECT"},
            {.origin = LimitOrigin::kNft, .connections = 100, .counted = 9, .rule = "ct count over 100"}};
  host.Look();
  CHECK(host.Find(AlertKind::kSourceNearConnectionLimit, "192.0.2.7", "-m connlimit -j REJECT")->value == Approx(0.9));
  CHECK(host.Find(AlertKind::kSourceNearConnectionLimit, "192.0.2.7", "")->value == Approx(9.0 / 11));
  CHECK(host.Find(AlertKind::kSourceNearConnectionLimit, "192.0.2.7", "ct count over 100") == nullptr);
  host.Run(15s);
  CHECK(host.Firing().size() == 2);
  limits.clear();
  host.Run(6s);
  CHECK(host.Firing().empty());
}

TEST_CASE("dropped packets fire by source and rule, at the rule's own rate") {
  Host host;
  SourceDrops drops;
  drops.shares = {{"tcp dport 23 drop", DropVia::kEbpf, 1000},
                  {"", DropVia::kEbpf, 5},
                  {"tcp dport 22 reject", DropVia::kEbpf, 70}};
  host.evidence.dropped = {{"192.0.2.7", drops}};
  for (int second = 0; second < 60; ++second) {
    if (second % 5 == 0) host.evidence.dropped[0].drops.shares[0].packets += 10;
    if (second % 10 == 0) ++host.evidence.dropped[0].drops.shares[2].packets;
    host.Run(1s);
  }
  CHECK(host.Firing() == Strings{"SourceMatchesDropRule info 192.0.2.7"});
  CHECK(host.Find(AlertKind::kSourceMatchesDropRule, "192.0.2.7", "tcp dport 23 drop")->value ==
        Approx(2).epsilon(0.2));
  CHECK(host.Find(AlertKind::kSourceMatchesDropRule, "192.0.2.7", "tcp dport 22 reject") == nullptr);
  host.evidence.dropped.clear();
  host.Run(6s);
  CHECK(host.Firing().empty());
}

TEST_CASE("packets whose rule's name was forgotten are no news of a rule that is not known") {
  Host host;
  SourceDrops drops;
  drops.shares = {{"drop", DropVia::kEbpf, 90'000}, {"", DropVia::kEbpf, 5}};
  host.evidence.dropped = {{"192.0.2.7", drops}};
  host.Run(30s);
  drops.shares = {{"", DropVia::kEbpf, 90'005}};
  drops.forgotten = 90'000;
  host.evidence.dropped = {{"192.0.2.7", drops}};
  host.Run(60s);
  CHECK(host.Firing().empty());
}

TEST_CASE("rates of sources that come and go are bounded, and newcomers are always judged") {
  Host host;
  const auto look = [&](int source, std::uint64_t packets) {
    SourceDrops drops;
    for (std::size_t rule = 0; rule <= RuleShares::kNamesMax; ++rule)
      drops.shares.push_back({"drop " + std::to_string(rule), DropVia::kEbpf, packets});
    host.evidence.dropped.push_back({std::to_string(source), drops});
  };
  for (int second = 0; second < 10; ++second) {
    host.evidence.dropped.clear();
    for (int i = 0; i < static_cast<int>(AlertEvidence::kRankedMax); ++i) look(second * 1000 + i, 1);
    host.Look();
  }
  CHECK(host.reader.turned_away() > 0);
  for (int second = 0; second < 10; ++second) {
    host.evidence.dropped.clear();
    look(9000, 1 + static_cast<std::uint64_t>(second) * 200);
    host.Look();
  }
  CHECK(host.Find(AlertKind::kSourceMatchesDropRule, "9000", "drop 0") != nullptr);
}

TEST_CASE("one burst of dropped packets is over before it could fire") {
  Host host;
  SourceDrops drops;
  drops.shares = {{"drop", DropVia::kEbpf, 20}};
  host.evidence.dropped = {{"192.0.2.7", drops}};
  host.Run(5s);
  host.evidence.dropped[0].drops.shares[0].packets += 40;
  host.Run(60s);
  CHECK(host.Firing().empty());
}

TEST_CASE("stale tallies and failing collectors fire after a while, overruns at once, for a minute") {
  Host host;
  SECTION("stale") {
    host.evidence.synced = false;
    host.Run(30s);
    CHECK(host.Firing().empty());
    host.Run(2s);
    CHECK(host.Firing() == Strings{"ConntallyDegraded warning "});
    host.evidence.synced = true;
    host.Run(6s);
    CHECK(host.Firing().empty());
  }
  SECTION("failing") {
    host.evidence.failing["nftables"] = "no permission";
    host.Run(32s);
    CHECK(host.Firing() == Strings{"ConntallyDegraded warning "});
    CHECK(host.Find(AlertKind::kConntallyDegraded)->description.find("nftables fails: no permission") !=
          std::string::npos);
  }
  SECTION("overruns") {
    host.evidence.events_lost = 40;
    host.Run(1s);
    CHECK(host.Firing() == Strings{"ConntallyDegraded warning "});
    host.Run(66s);
    CHECK(host.Firing().empty());
  }
}

TEST_CASE("what may be wrong is said of the alerts that it touches, and of no others") {
  Host host;
  host.evidence.synced = false;
  host.evidence.failing["ebpf"] = "gone";
  host.Look();
  const auto degraded = [&](AlertKind kind) { return host.readings.degraded[static_cast<std::size_t>(kind)]; };
  CHECK_FALSE(degraded(AlertKind::kSourceNearConnectionLimit).empty());
  CHECK(degraded(AlertKind::kSourceMatchesDropRule) == "ebpf: gone");
  CHECK(degraded(AlertKind::kConntrackTableNearlyFull).empty());
  CHECK(degraded(AlertKind::kDropRuleSpike).empty());
}

TEST_CASE("before the tallies are complete no source is judged") {
  Host host;
  host.evidence.ready = false;
  host.Source("192.0.2.7").connections = 900;
  host.Run(20s);
  CHECK(host.Firing().empty());
}

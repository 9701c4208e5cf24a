#include "daemon/top/screens/render.h"

#include "daemon/top/screens/head.h"
#include "daemon/top/text/text.h"
#include "test/support/catch.h"

using namespace conntally;
using namespace conntally::top;
using namespace std::chrono_literals;

namespace {

const char* const kStatus =
    R"({"version": "0.1.0", "host": "gw1", "now": "2026-11-24T04:19:51Z", "ready": true, "synced": true,
  "connections": 1000, "unreplied": 250, "sources": 2,
  "table": {"entries": 900, "limit": 1000, "seconds_until_full": 90.5, "drops": 7, "early_drops": 8, "insert_failed": 9},
  "states": [{"protocol": "tcp", "state": "established", "connections": 750}, {"protocol": "udp", "state": "unreplied", "connections": 250}],
  "per_second": {"opened": 120.5, "closed": 99, "dropped_packets": 3, "table_drops": 4},
  "drop_rules": [{"backend": "nftables", "family": "inet", "table": "t", "chain": "in", "rule": "tcp dport 23 drop \u001b[2J", "verdict": "drop",
                  "packets": 70, "packets_per_second": 3.5}],
  "collectors": {"conntrack": {"success": true}, "rules": {"success": false, "failure": "no \u0007 permission"}, "ebpf": {"success": false, "off": "no BTF"}},
  "losses": {"netlink_overruns": 5, "reconcile_corrections": {"missed": 1, "stale": 2}, "overflow": {"sources": 3}},
  "last_reconcile": "2026-11-24T04:19:31Z"})";

const char* const kSources = R"({"sources": [
  {"source": "192.0.2.7", "connections": 600, "unreplied": 300, "opened": 900, "closed": 300, "new_rate": 12.5, "destination_ports": 4,
   "limits": [{"origin": "connlimit", "connections": 500, "counted": 480, "usage": 0.96, "approximate": false, "rule": "-m connlimit \u001b]0;evil"}],
   "drops": [{"rule": "tcp dport 23 drop", "via": "ebpf", "packets": 70, "error": 0}], "drop_rate": 3.5,
   "first_seen": "2026-11-24T04:00:00Z", "last_seen": "2026-11-24T04:19:50Z"},
  {"source": "2001:db8:1111:2222:3333:4444:5555:6666", "connections": 400, "unreplied": 0, "limits": [], "drops": []}],
  "total": 2, "synced": true})";

const char* const kDetails = R"({"sources": [{"source": "192.0.2.7", "pending": false, "age_seconds": 1,
  "top_port": {"protocol": "tcp", "destination_port": 443, "connections": 500},
  "kinds": [{"protocol": "tcp", "destination_port": 443, "state": "established", "connections": 500}], "others": 100}]})";

Model FullModel() {
  Model model;
  REQUIRE(TakeStatus(kStatus, model));
  REQUIRE(TakeSources(kSources, model));
  REQUIRE(TakeDetails(kDetails, model));
  REQUIRE(TakeAlerts(
      R"({"alerts": [{"alert": "ConntrackTableNearlyFull", "severity": "critical", "state": "firing", "source": null,
                        "summary": "the table is \u001b[31mnearly full"}]})",
      model));
  model.answered = true;
  return model;
}

std::string Text(const Model& model, const View& view = {}, Size size = {80, 24}) {
  return PlainText(Render(model, view, size, {.address = "http://127.0.0.1:9105"}), size);
}

bool Has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("one screen of 80 x 24 answers what is asked at 3 a.m.") {
  const std::string text = Text(FullModel());
  CHECK(std::count(text.begin(), text.end(), '\n') == 24);
  for (const char* part : {"900 of 1,000  90%", "full in 90 s", "opened 121/s", "closed 99/s", "dropped 7 (table full)",
                           "evicted 8", "9 insertions failed", "25% unreplied", "tcp established 750", "1 firing",
                           "ConntrackTableNearlyFull", "rules FAILS: no ? permission", "5 events lost"}) {
    INFO(part << " in\n" << text);
    CHECK(Has(text, part));
  }
}

TEST_CASE("a source's row has its connections, share, limit, rate, half-open share, port, drops and rule") {
  Model model = FullModel();
  model.sources.pop_back();
  const std::string text = Text(model);
  const std::size_t at = text.find("192.0.2.7");
  REQUIRE(at != text.npos);
  const std::string row = text.substr(at, text.find('\n', at) - at);
  for (const char* part : {"600", "60%", "96% 500", "13", "50%", "tcp/443", "3.5", "tcp dpo~"}) {
    INFO(part << " in " << row);
    CHECK(Has(row, part));
  }
}

TEST_CASE("a long IPv6 address is never cut: columns give way") {
  const std::string text = Text(FullModel());
  CHECK(Has(text, "2001:db8:1111:2222:3333:4444:5555:6666 "));
}

TEST_CASE("no row exceeds the terminal and no frame its rows, at any size and on any screen") {
  const Model model = FullModel();
  for (const Screen screen : {Screen::kSources, Screen::kSource, Screen::kAlerts, Screen::kRules, Screen::kHelp}) {
    for (std::size_t columns = 1; columns < 200; columns += 7) {
      for (std::size_t rows = 1; rows < 60; rows += 3) {
        View view;
        view.screen = screen;
        view.opened = "192.0.2.7";
        view.scroll = rows;
        const Frame frame = Render(model, view, {columns, rows}, {});
        CHECK(frame.size() <= rows);
        for (const Row& row : frame) CHECK(Width(row.Plain(columns)) <= columns);
      }
    }
  }
}

TEST_CASE("what rules, alerts and collectors say cannot reach the terminal as a command") {
  const Model model = FullModel();
  for (const Screen screen : {Screen::kSources, Screen::kSource, Screen::kAlerts, Screen::kRules}) {
    View view;
    view.screen = screen;
    view.opened = "192.0.2.7";
    const std::string text = Text(model, view, {250, 60});
    CHECK(!Has(text, "\x1b"));
    CHECK(!Has(text, "\x07"));
  }
  View rules;
  rules.screen = Screen::kRules;
  CHECK(Has(Text(model, rules, {120, 30}), "tcp dport 23 drop ?[2J"));
}

TEST_CASE("an opened source shows its limits, drops, and connections by port and state") {
  View view;
  view.screen = Screen::kSource;
  view.opened = "192.0.2.7";
  const std::string text = Text(FullModel(), view, {100, 40});
  for (const char* part : {"600 connections, 60% of all", "480 of 500 (96%)", "connlimit",
                           "70 packets  by tcp dport 23 drop", "443  established", "others"}) {
    INFO(part << " in\n" << text);
    CHECK(Has(text, part));
  }
  view.opened = "203.0.113.9";
  CHECK(Has(Text(FullModel(), view), "has no connections"));
}

TEST_CASE("without an answer the screen says whom it asked, and what to try") {
  Model model;
  CHECK(Has(Text(model), "asking http://127.0.0.1:9105"));
  model.trouble = "Couldn't connect";
  const std::string text = Text(model);
  CHECK(Has(text, "No daemon answers at http://127.0.0.1:9105"));
  CHECK(Has(text, "systemctl status conntally"));
}

TEST_CASE("a daemon that went away leaves its last figures, and how old they are") {
  Model model = FullModel();
  model.trouble = "Couldn't connect";
  const std::string text =
      PlainText(Render(model, {}, {80, 24}, {.now = model.answered_at + 12s, .address = ""}), {80, 24});
  CHECK(Has(text, "NO ANSWER, as of 12 s ago"));
  CHECK(Has(text, "192.0.2.7"));
}

TEST_CASE("how far to trust the figures is told on every screen") {
  View view;
  for (view.screen = Screen::kSources; view.screen != Screen::kHelp;
       view.screen = static_cast<Screen>(static_cast<int>(view.screen) + 1)) {
    CHECK(Has(Text(FullModel(), view, {130, 24}), "compared 20 s ago (1 missed, 2 stale)  3 turned away by bounds"));
  }
}

TEST_CASE("stale tallies are named so") {
  Model model = FullModel();
  model.status.synced = false;
  CHECK(Has(Text(model), "STALE"));
}

TEST_CASE("the selected source is on the screen, however far down") {
  Model model = FullModel();
  model.sources.resize(1);
  for (int i = 0; i < 100; ++i) {
    model.sources.push_back(model.sources.front());
    model.sources.back().name = "10.0.0." + std::to_string(i);
  }
  View view;
  view.selected = "10.0.0.99";
  CHECK(Has(Text(model, view), "10.0.0.99 "));
}

TEST_CASE("an answer that is not conntally's is an error, and the model stays") {
  Model model = FullModel();
  for (const char* answer : {"", "<html>", "[]", "{}", "42", "{\"sources\": 1, \"synced\": []}"})
    CHECK(!TakeAlerts(answer, model));
  CHECK(!TakeStatus("{\"status\": \"ok\"}", model));
  CHECK(model.alerts.size() == 1);
  CHECK(TakeStatus(
      R"({"synced": 1, "table": [], "states": {"x": null}, "collectors": {"a": 1}, "losses": null, "version": 7})",
      model));
  Text(model);
}

TEST_CASE("a sparkline keeps peaks and gaps") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(Sparkline({0, 7}, 10, false) == "_#");
  CHECK(Sparkline({nan, 7, nan}, 10, false) == " # ");
  Series series(360, 1);
  series[100] = 100;
  CHECK(Sparkline(series, 36, false).find('#') != std::string::npos);
  CHECK(Width(Sparkline(series, 36, true)) == 36);
  CHECK(Sparkline({}, 10, true).empty());
  CHECK(RangeOf({nan, 3, 12000}) == "3.0 .. 12k");
}

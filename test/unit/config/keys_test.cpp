#include "test/support/catch.h"
#include "test/unit/config/faults.h"

using conntally::Config;
using conntally::FaultOf;
using conntally::FaultsOf;
using conntally::ParseConfig;

TEST_CASE("an unknown key names the nearest one beside it") {
  CHECK(FaultOf("log:\n  levle: debug\n") ==
        "2:3: log.levle: unknown key, the nearest is log.level; allowed here: level, format");
  CHECK(FaultOf("alerts:\n  table_usage: {warn: 0.5, for: 1s}\n")
            .starts_with("2:17: alerts.table_usage.warn: unknown key, the nearest is alerts.table_usage.warning;"));
  CHECK(FaultOf("webb: {}\n").starts_with("1:1: webb: unknown key, the nearest is web;"));
}

TEST_CASE("a key in the wrong place names its right one") {
  CHECK(FaultOf("ipv4_prefix: 24\n").starts_with("1:1: ipv4_prefix: unknown key here, there is sources.ipv4_prefix;"));
  CHECK(FaultOf("log.level: debug\n").find("there is log.level;") != std::string::npos);
}

TEST_CASE("an unknown key that is near nothing lists what is allowed") {
  CHECK(FaultOf("log: {colour: red}\n") == "1:7: log.colour: unknown key; allowed here: level, format");
  CHECK(FaultOf("log: {\"a\\nb\": red}\n").starts_with("1:7: log.\"a\\x0ab\": unknown key;"));
  CHECK(FaultOf("? [a, b]\n: 1\n").find("(a key that is not a word): unknown key;") != std::string::npos);
}

TEST_CASE("a key given twice is refused at its second place") {
  CHECK(FaultOf("log:\n  level: info\n  format: text\n  level: debug\n") ==
        "4:3: log.level: given twice, first on line 2; allowed: once");
  CHECK(FaultOf("web: {}\nlog: {}\nweb: {}\n").starts_with("3:1: web: given twice, first on line 1;"));
}

TEST_CASE("a value of the wrong shape says which shape is allowed") {
  CHECK(FaultOf("web: 9105\n") == "1:6: web: this is a plain value; allowed: a map of keys and values");
  CHECK(FaultOf("web: []\n") == "1:6: web: this is a list; allowed: a map of keys and values");
  CHECK(FaultOf("sources: {exclude: 10.0.0.0/8}\n") ==
        "1:20: sources.exclude: this is a plain value; allowed: a list, [] when empty");
  CHECK(FaultOf("limits: {source: 10.0.0.0/8, connections: 1}\n")
            .starts_with("1:9: limits: this is a map; allowed: a list"));
  CHECK(FaultOf("log: {level: {}}\n") == "1:14: log.level: this is a map; allowed: debug, info, warning or error");
  CHECK(FaultOf("log: {level: [info]}\n").starts_with("1:14: log.level: this is a list;"));
}

TEST_CASE("a section whose keys are all commented out keeps its defaults") {
  const auto parsed = ParseConfig("sources:\n  # export_top: 5\nlog:\n  level: debug\n");
  REQUIRE(std::holds_alternative<Config>(parsed));
  CHECK(std::get<Config>(parsed).sources == Config{}.sources);
  CHECK(std::get<Config>(parsed).log.level == Config::LogLevel::kDebug);
}

TEST_CASE("a key without its value is a fault at the key, not at what follows") {
  CHECK(FaultOf("sources:\n  export_top:\n\n\nlog: {level: info}\n")
            .starts_with("2:3: sources.export_top: there is no value; allowed: a whole number"));
  CHECK(FaultOf("sources:\n  exclude:\n").starts_with("2:3: sources.exclude: there is no value; allowed: a list"));
}

TEST_CASE("every fault is reported, in the order of the file") {
  const auto faults = FaultsOf(
      "log:\n"
      "  level: loud\n"
      "web: {listen_addres: x}\n"
      "alerts:\n"
      "  table_usage: {warning: 0.95}\n"
      "  clear_ratio: 2\n"
      "sources:\n"
      "  ipv4_prefix: 33\n"
      "  exclude: [192.0.2.1/24, ::/0, bad]\n");
  REQUIRE(faults.size() == 7);
  CHECK(faults[0].starts_with("2:10: log.level: \"loud\" is unknown;"));
  CHECK(faults[1].starts_with("3:7: web.listen_addres: unknown key"));
  CHECK(faults[2].starts_with("5:26: alerts.table_usage.warning: ") == false);
  CHECK(faults[2].starts_with("5:26: alerts.table_usage: warning is past critical;"));
  CHECK(faults[3].starts_with("6:16: alerts.clear_ratio: \"2\" is out of range;"));
  CHECK(
      faults[4].starts_with("8:16: sources.ipv4_prefix: \"33\" is out of range; allowed: a whole number from 0 to 32"));
  CHECK(faults[5].starts_with("9:13: sources.exclude[0]: "));
  CHECK(faults[6].starts_with("9:33: sources.exclude[2]: "));
}

TEST_CASE("an entry of limits needs both its keys") {
  CHECK(FaultOf("limits:\n  - source: 10.0.0.0/8\n").starts_with("2:5: limits[0].connections: missing;"));
  CHECK(FaultOf("limits:\n  - {connections: 3}\n").starts_with("2:5: limits[0].source: missing;"));
}

TEST_CASE("an entry that is empty is a fault on its own line") {
  CHECK(FaultOf("sources:\n  exclude:\n    - 10.0.0.0/8\n    -\n\nlog: {}\n")
            .starts_with("4:5: sources.exclude[1]: there is no value"));
}

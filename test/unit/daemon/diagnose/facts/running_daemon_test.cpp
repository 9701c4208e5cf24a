#include "daemon/diagnose/facts/running_daemon.h"

#include <catch2/catch.hpp>

namespace conntally::diagnose {
namespace {

std::string StatusOf(const std::string& entries) {
  return R"({"synced": true, "collectors": {}, "table": {"entries": )" + entries +
         R"(, "drops": 1, "insert_failed": 2, "seconds_until_full": 1e300}})";
}

std::string SourcesOf(const std::string& connections, const std::string& packets) {
  return R"({"sources": [{"source": "192.0.2.7", "connections": )" + connections +
         R"(, "new_rate": 0.5, "drops": [{"rule": "drop all", "via": "ebpf", "packets": )" + packets + "}]}]}";
}

}  // namespace

TEST_CASE("what a daemon answers is read, with its counts exact") {
  const std::string most = "18446744073709551615";
  const auto daemon = ReadRunningDaemon({StatusOf(most), SourcesOf(most, "7"), SourcesOf("3", "8")});
  REQUIRE(daemon);
  CHECK(daemon->entries == UINT64_MAX);
  CHECK(daemon->insert_failed == 2);
  REQUIRE(daemon->fastest.size() == 1);
  CHECK(daemon->fastest[0].connections == UINT64_MAX);
  CHECK(daemon->fastest[0].drops == std::vector<std::string>{"7 packets, by `drop all` (seen by ebpf)"});
  REQUIRE(daemon->asked);
  CHECK(daemon->asked->connections == 3);
}

TEST_CASE("a number that is no count is refused wherever a count belongs") {
  for (const char* strange : {"-1", "1.5", "1e290", "18446744073709551616", "null", "\"7\"", "[]"}) {
    CAPTURE(strange);
    CHECK_FALSE(ReadRunningDaemon({StatusOf(strange), SourcesOf("1", "1"), {}}));
    CHECK_FALSE(ReadRunningDaemon({StatusOf("1"), SourcesOf(strange, "1"), {}}));
    CHECK_FALSE(ReadRunningDaemon({StatusOf("1"), SourcesOf("1", strange), {}}));
    CHECK_FALSE(ReadRunningDaemon({StatusOf("1"), SourcesOf("1", "1"), SourcesOf("1", strange)}));
  }
}

}  // namespace conntally::diagnose

#include "daemon/http/message.h"
#include "daemon/http/target.h"
#include "test/support/catch.h"

using namespace conntally::http;

TEST_CASE("a target's path and query are decoded") {
  const auto request = ParseTarget("/a%20b+c?source=192.0.2.0%2F24&q=x+y%2B&flag&e=&&a=b=c&q=2");
  REQUIRE(request);
  CHECK(request.value().path == "/a b+c");
  const std::multimap<std::string, std::string> expected{
      {"source", "192.0.2.0/24"}, {"q", "x y+"}, {"flag", ""}, {"e", ""}, {"a", "b=c"}, {"q", "2"}};
  CHECK(request.value().query == expected);
}

TEST_CASE("a target may name the host") {
  CHECK(ParseTarget("http://localhost:9105/metrics?a=1").value().path == "/metrics");
  CHECK_FALSE(ParseTarget("http://localhost"));
}

TEST_CASE("a malformed target is refused") {
  for (const char* target : {"", "*", "metrics", "?a=1", "/%", "/%4", "/%zz", "/%4g", "/m%00x", "/m?a=%", "/m?%0=1",
                             "/m?a=b%00", "/m?a=%1"}) {
    INFO(target);
    CHECK_FALSE(ParseTarget(target));
  }
  CHECK_FALSE(ParseTarget(std::string_view("/m\0x", 4)));
}

TEST_CASE("a query holds a bounded number of pairs") {
  std::string target = "/m?";
  for (std::size_t i = 0; i < kQueryPairsMax; ++i) target += "a=1&";
  CHECK(ParseTarget(target));
  CHECK_FALSE(ParseTarget(target + "a=1"));
}

TEST_CASE("an error is JSON whatever its message holds") {
  CHECK(std::get<std::string>(ErrorResponse(400, "no \"such\"").body) == "{\"error\":\"no \\\"such\\\"\"}\n");
  CHECK_NOTHROW(ErrorResponse(400, "\xff\xfe"));
}

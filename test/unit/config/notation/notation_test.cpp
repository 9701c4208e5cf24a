#include "config/notation/notation.h"

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

TEST_CASE("a duration is one whole number and a unit") {
  CHECK(ParseDuration("500ms").value() == 500ms);
  CHECK(ParseDuration("30s").value() == 30s);
  CHECK(ParseDuration("5m").value() == 5min);
  CHECK(ParseDuration("1h").value() == 1h);
  CHECK(ParseDuration("0s").value() == 0s);
}

TEST_CASE("what is no duration says why") {
  const auto problem = [](const char* text) {
    const auto parsed = ParseDuration(text);
    return parsed ? std::string("accepted") : parsed.error().message;
  };
  CHECK(problem("5") == "\"5\" has no unit");
  CHECK(problem("-5s") == "\"-5s\" is negative");
  CHECK(problem("9223372036854775807h") == "\"9223372036854775807h\" is too long");
  CHECK(problem("99999999999999999999s") == "\"99999999999999999999s\" is too long");
  for (const char* text : {"", "s", "1h30m", "1.5s", "5 s", "5d", "5S", "+5s", " 5s", "0x5s"}) {
    CHECK(problem(text) == Quoted(text) + " is not a duration");
  }
}

TEST_CASE("a duration is written with the largest unit that needs no fraction") {
  CHECK(FormatDuration(0ms) == "0s");
  CHECK(FormatDuration(1500ms) == "1500ms");
  CHECK(FormatDuration(90s) == "90s");
  CHECK(FormatDuration(120s) == "2m");
  CHECK(FormatDuration(168h) == "168h");
}

TEST_CASE("listen addresses that are understood") {
  CHECK(ParseListenAddress("127.0.0.1:9105")->host == "127.0.0.1");
  CHECK(ParseListenAddress("127.0.0.1:9105")->port == 9105);
  CHECK(ParseListenAddress("[::]:80")->host == "::");
  CHECK(ParseListenAddress("[2001:db8::1]:65535")->port == 65535);
  CHECK(ParseListenAddress("localhost:0")->host == "localhost");
  CHECK(ParseListenAddress(":9105")->host.empty());
  CHECK(ParseListenAddress("[fe80::1%eth0]:9105")->host == "fe80::1%eth0");
}

TEST_CASE("listen addresses that are refused say why") {
  const auto problem = [](const char* text) {
    const auto parsed = ParseListenAddress(text);
    return parsed ? std::string("accepted") : parsed.error().message;
  };
  CHECK(problem("127.0.0.1") == "\"127.0.0.1\" has no port");
  CHECK(problem("localhost") == "\"localhost\" has no port");
  CHECK(problem("::1:9105") == "\"::1:9105\" has no brackets around the IPv6 address, or no port");
  CHECK(problem("[::1]") == "\"[::1]\" has no port");
  CHECK(problem("[::1") == "\"[::1\" is not an address and a port");
  CHECK(problem("[::1]9105") == "\"[::1]9105\" is not an address and a port");
  CHECK(problem("[127.0.0.1]:80") == "\"127.0.0.1\" is not a host");
  CHECK(problem("[2001:db8::1%eth0]:80") ==
        "\"2001:db8::1%eth0\" has a zone, which belongs to a link-local IPv6 address (fe80::/10)");
  for (const char* text : {"[fe80::1%]:80", "[fe80::1%a b]:80", "[fe80::1%a/b]:80", "[fe80::1%sixteen-letters-]:80"}) {
    CHECK(problem(text).ends_with("is no network interface's name, as in [fe80::1%eth0]:9105"));
  }
  CHECK(problem("127.0.0.256:80") == "\"127.0.0.256\" is not a host");
  CHECK(problem("a b:80") == "\"a b\" is not a host");
  for (const char* text : {"h:", "h:65536", "h:-1", "h:http", "h:80:80", "h:99999999999999999999"}) {
    INFO(text);
    CHECK(problem(text).ends_with(" is not a port from 0 to 65535"));
  }
  CHECK(problem("") == "\"\" has no port");
}

TEST_CASE("only plain http and https URLs are allowed") {
  for (const char* text :
       {"http://127.0.0.1:9093", "https://alerts.example.org/prefix/", "http://[::1]:9093", "http://am"}) {
    INFO(text);
    CHECK_FALSE(FindUrlProblem(text));
  }
  for (const char* text :
       {"", "127.0.0.1:9093", "ftp://host", "http://", "http:///path", "http://host:0", "http://host:port",
        "http://user:secret@host", "http://host/?query", "http://ho st", "http://[::1", "HTTP//host"}) {
    INFO(text);
    CHECK(FindUrlProblem(text));
  }
}

TEST_CASE("label names are Prometheus'") {
  for (const char* text : {"a", "_a", "A9_"}) CHECK(IsLabelName(text));
  for (const char* text : {"", "9a", "a-b", "__name__", "é"}) CHECK_FALSE(IsLabelName(text));
}

TEST_CASE("a text in a message stays on one line, and short") {
  CHECK(Quoted("a\"b\\c\n\x7F") == "\"a\\\"b\\\\c\\x0a\\x7f\"");
  CHECK(Quoted("\xFF") == "\"\\xff\"");
  CHECK(Quoted("é") == "\"é\"");
  CHECK(Quoted(std::string(100'000, 'x')).size() < 100);
}

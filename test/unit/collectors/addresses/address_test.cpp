#include "collectors/addresses/address.h"

#include <array>

#include "test/support/catch.h"

using conntally::IpAddress;
using conntally::Prefix;

TEST_CASE("an address is written as it was read, in canonical form") {
  CHECK(IpAddress::Parse("192.0.2.7")->ToString() == "192.0.2.7");
  CHECK(IpAddress::Parse("2001:DB8:0::1")->ToString() == "2001:db8::1");
}

TEST_CASE("addresses are in the order of their bytes, and then of their families") {
  const std::array<const char*, 8> ordered = {"::",          "0.0.0.1",       "9.255.255.255", "10.0.0.0",
                                              "2001:db8::2", "2001:db8::100", "2001:db8:1::",  "128.0.0.1"};
  for (std::size_t a = 0; a < ordered.size(); ++a) {
    for (std::size_t b = 0; b < ordered.size(); ++b) {
      INFO(ordered[a] << " and " << ordered[b]);
      CHECK((*IpAddress::Parse(ordered[a]) <=> *IpAddress::Parse(ordered[b])) == (a <=> b));
    }
  }
  CHECK(*IpAddress::Parse("0.0.0.0") < *IpAddress::Parse("::"));
}

TEST_CASE("what is no address is refused") {
  for (const char* text : {"", "host", "192.0.2", "192.0.2.256", "1.2.3.4 ", "fe80::1%eth0", "::1::"}) {
    CHECK_FALSE(IpAddress::Parse(text));
  }
  CHECK_FALSE(IpAddress::Parse(std::string_view("1.2.3.4\0", 8)));
}

TEST_CASE("a prefix holds its addresses and no other family's") {
  const auto prefix = Prefix::Parse("192.0.2.0/25").value();
  CHECK(prefix.Contains(*IpAddress::Parse("192.0.2.127")));
  CHECK_FALSE(prefix.Contains(*IpAddress::Parse("192.0.2.128")));
  CHECK(Prefix::Parse("0.0.0.0/0")->Contains(*IpAddress::Parse("255.1.2.3")));
  CHECK_FALSE(Prefix::Parse("0.0.0.0/0")->Contains(*IpAddress::Parse("::1")));
  CHECK(Prefix::Parse("2001:db8::/33")->Contains(*IpAddress::Parse("2001:db8:7fff::1")));
  CHECK_FALSE(Prefix::Parse("2001:db8::/33")->Contains(*IpAddress::Parse("2001:db8:8000::1")));
}

TEST_CASE("a full-length prefix is written as the bare address") {
  CHECK(Prefix::Parse("192.0.2.7/32")->ToString() == "192.0.2.7");
  CHECK(Prefix::Parse("192.0.2.0/24")->ToString() == "192.0.2.0/24");
  CHECK(Prefix::Parse("::/0")->ToString() == "::/0");
}

TEST_CASE("a prefix with host bits, or an impossible length, is refused") {
  for (const char* text :
       {"192.0.2.7/24", "192.0.2.0/33", "::/129", "192.0.2.0/", "192.0.2.0/-1", "192.0.2.0/24x", "/24"}) {
    CHECK_FALSE(Prefix::Parse(text));
  }
}

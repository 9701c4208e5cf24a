#include "config/notation/address_notation.h"

#include <string>

#include "test/support/catch.h"

using namespace conntally;

namespace {

std::string Read(const std::string& text, HostBits host_bits = HostBits::kRefused) {
  const auto prefix = ParsePrefix(text, host_bits);
  return prefix ? prefix->ToString() : prefix.error().message;
}

}  // namespace

TEST_CASE("prefixes and addresses are understood") {
  CHECK(Read("10.0.0.0/8") == "10.0.0.0/8");
  CHECK(Read("10.1.2.3") == "10.1.2.3");
  CHECK(Read("2001:db8::/32") == "2001:db8::/32");
  CHECK(Read("::/0") == "::/0");
  CHECK(ParseAddress("2001:db8::7")->ToString() == "2001:db8::7");
}

TEST_CASE("an IPv4-mapped address or prefix is the IPv4 one") {
  CHECK(Read("::ffff:10.0.0.0/104") == "10.0.0.0/8");
  CHECK(Read("::ffff:a00:0/104") == "10.0.0.0/8");
  CHECK(Read("::FFFF:192.0.2.7") == "192.0.2.7");
  CHECK(Read("::ffff:192.0.2.7/128") == "192.0.2.7");
  CHECK(Read("::ffff:0:0/96") == "0.0.0.0/0");
  CHECK(ParseAddress("::ffff:192.0.2.7")->family == Family::kIpv4);
  CHECK(Read("64:ff9b::192.0.2.7") == "64:ff9b::c000:207");  // translated, not mapped
}

TEST_CASE("an IPv4-mapped prefix below 96 bits is refused with the reason, by whoever clears host bits, too") {
  for (const HostBits host_bits : {HostBits::kRefused, HostBits::kCleared}) {
    for (const char* text : {"::ffff:10.0.0.0/64", "::ffff:0:0/95", "::ffff:10.0.0.0/8", "::ffff:10.0.0.0/0"}) {
      CHECK(Read(text, host_bits) ==
            "\"" + std::string(text) +
                "\" is an IPv4-mapped address with a prefix length below 96; write the IPv4 prefix");
    }
  }
}

TEST_CASE("host bits are refused with what was perhaps meant, or cleared") {
  CHECK(Read("10.1.2.3/8") == "\"10.1.2.3/8\" has bits set behind its prefix, perhaps 10.0.0.0/8 was meant");
  CHECK(Read("::ffff:10.1.2.3/104") ==
        "\"::ffff:10.1.2.3/104\" has bits set behind its prefix, perhaps 10.0.0.0/8 was meant");
  CHECK(Read("10.1.2.3/8", HostBits::kCleared) == "10.0.0.0/8");
  CHECK(Read("2001:db8::1/32", HostBits::kCleared) == "2001:db8::/32");
}

TEST_CASE("what is neither an address nor a prefix is refused") {
  for (const char* text : {"", "/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8x", "example.com", "::1/129",
                           "::ffff:10.0.0.0/129", "::1/-1"}) {
    CHECK(!ParsePrefix(text, HostBits::kCleared));
  }
  CHECK(ParseAddress("10.0.0.0/8").error().message == "\"10.0.0.0/8\" is not an address");
}

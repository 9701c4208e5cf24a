#include "collectors/addresses/ranges.h"

#include "test/support/catch.h"

using namespace conntally;

namespace {

IpAddress Address(const char* text) { return IpAddress::Parse(text).value(); }
AddressRange Range(const char* prefix) { return RangeOf(Prefix::Parse(prefix).value()); }

}  // namespace

TEST_CASE("a prefix is a range of addresses") {
  CHECK(Range("10.0.0.0/8").last == Address("10.255.255.255"));
  CHECK(Range("2001:db8::/33").last == Address("2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"));
  CHECK(Range("0.0.0.0/0").last == Address("255.255.255.255"));
  CHECK(Range("::1").last == Address("::1"));
}

TEST_CASE("ranges hold what any of them holds, of either family") {
  const AddressRanges ranges(
      {Range("10.0.1.0/24"), Range("2001:db8::/32"), Range("10.0.0.0/24"), Range("192.0.2.7"), Range("10.0.0.128/25")});
  for (const char* inside : {"10.0.0.0", "10.0.1.255", "192.0.2.7", "2001:db8::1"})
    CHECK(ranges.Contains(Address(inside)));
  for (const char* outside : {"9.255.255.255", "10.0.2.0", "192.0.2.6", "192.0.2.8", "2001:db9::", "::"})
    CHECK_FALSE(ranges.Contains(Address(outside)));
  CHECK(ranges.Holding(Range("10.0.0.0/23")));  // two that adjoin
  CHECK_FALSE(ranges.Holding(Range("10.0.0.0/22")));
  CHECK(ranges.Meeting(Range("10.0.0.0/8")));
  CHECK(ranges.Meeting(Range("0.0.0.0/0")));
  CHECK_FALSE(ranges.Meeting(Range("11.0.0.0/8")));
  CHECK_FALSE(AddressRanges().Contains(Address("10.0.0.1")));
}

TEST_CASE("the last address of a family has no successor") {
  const AddressRanges ranges({Range("255.255.255.255"), Range("0.0.0.0"), Range("::")});
  CHECK(ranges.Contains(Address("255.255.255.255")));
  CHECK_FALSE(ranges.Contains(Address("255.255.255.254")));
  CHECK_FALSE(ranges.Contains(Address("0.0.0.1")));
}

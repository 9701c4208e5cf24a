#include "collectors/addresses/network_groups.h"

#include <random>

#include "test/support/catch.h"

using namespace conntally;

namespace {

using Networks = std::vector<NetworkGroups::Network>;

GroupIndex LongestPrefix(const Networks& networks, const IpAddress& address) {
  const NetworkGroups::Network* longest = nullptr;
  for (const auto& network : networks) {
    if (!network.prefix.Contains(address)) continue;
    if (longest == nullptr || network.prefix.length > longest->prefix.length) longest = &network;
  }
  return longest != nullptr ? longest->group : kOtherGroup;
}

Networks Parsed(const std::vector<std::pair<const char*, GroupIndex>>& texts) {
  Networks networks;
  for (const auto& [text, group] : texts) networks.push_back({*Prefix::Parse(text), group});
  return networks;
}

}  // namespace

TEST_CASE("the longest prefix wins, up to both ends of the address space, in each family by itself") {
  const NetworkGroups groups(Parsed({{"10.0.0.0/8", 1},
                                     {"10.1.0.0/16", 2},
                                     {"10.1.255.0/24", 3},
                                     {"10.1.255.255", 4},
                                     {"255.255.255.255", 5},
                                     {"0.0.0.0", 6},
                                     {"2001:db8::/32", 7},
                                     {"2001:db8:1::/48", 8},
                                     {"ffff::/16", 9}}));
  const auto of = [&](const char* address) { return groups.Of(*IpAddress::Parse(address)); };
  CHECK(of("9.255.255.255") == kOtherGroup);
  CHECK(of("10.0.0.0") == 1);
  CHECK(of("10.1.0.0") == 2);
  CHECK(of("10.1.254.255") == 2);
  CHECK(of("10.1.255.0") == 3);
  CHECK(of("10.1.255.255") == 4);
  CHECK(of("10.2.0.0") == 1);
  CHECK(of("11.0.0.0") == kOtherGroup);
  CHECK(of("255.255.255.255") == 5);
  CHECK(of("255.255.255.254") == kOtherGroup);
  CHECK(of("0.0.0.0") == 6);
  CHECK(of("0.0.0.1") == kOtherGroup);
  CHECK(of("2001:db8::1") == 7);
  CHECK(of("2001:db8:1:ffff::1") == 8);
  CHECK(of("2001:db8:2::") == 7);
  CHECK(of("2001:db9::") == kOtherGroup);
  CHECK(of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == 9);
  CHECK(of("::") == kOtherGroup);
  CHECK(of("::a00:0") == kOtherGroup);
  CHECK(NetworkGroups().Of(*IpAddress::Parse("10.0.0.1")) == kOtherGroup);
  CHECK(NetworkGroups(Parsed({{"0.0.0.0/0", 1}, {"::/0", 2}})).Of(*IpAddress::Parse("255.255.255.255")) == 1);
}

TEST_CASE("networks that lie in each other in every way are told apart as one by one") {
  std::mt19937 random(11);
  for (int round = 0; round < 60; ++round) {
    Networks networks;
    // Few bits differ, so that they nest, touch and share their ends.
    const auto address = [&](Family family) {
      IpAddress made;
      made.family = family;
      const std::size_t last = AddressBits(family) / 8 - 1;
      made.bytes[0] = random() % 2 ? 255 : 0;
      made.bytes[last] = static_cast<std::uint8_t>(random() % 2 ? random() % 8 : 255 - random() % 8);
      if (made.bytes[0] == 255 && random() % 2) std::fill_n(made.bytes.begin(), last, std::uint8_t{255});
      return made;
    };
    for (int i = 0; i < 12; ++i) {
      const Family family = random() % 2 ? Family::kIpv4 : Family::kIpv6;
      const auto length = static_cast<std::uint8_t>(random() % 3 ? AddressBits(family) - random() % 5 : random() % 3);
      const Prefix prefix{Masked(address(family), length), length};
      const bool known =
          std::any_of(networks.begin(), networks.end(), [&](const auto& network) { return network.prefix == prefix; });
      if (!known) networks.push_back({prefix, static_cast<GroupIndex>(1 + random() % 5)});
    }
    const NetworkGroups groups(networks);
    for (int i = 0; i < 300; ++i) {
      const IpAddress asked = address(random() % 2 ? Family::kIpv4 : Family::kIpv6);
      REQUIRE(groups.Of(asked) == LongestPrefix(networks, asked));
    }
  }
}

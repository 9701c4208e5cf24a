#include "daemon/observation/snapshot/named_networks.h"

#include "test/support/catch.h"

using namespace conntally;

namespace {

GroupIndex Of(const NetworkGroups& groups, const char* address) { return groups.Of(*IpAddress::Parse(address)); }

std::vector<Prefix> One(const std::string& text) { return {*Prefix::Parse(text)}; }

}  // namespace

TEST_CASE("a name keeps its place through reloads, and one that is taken away stands still") {
  NamedNetworks networks;
  CHECK(networks.Take({}) == nullptr);
  TotalFigures totals;
  totals.connections[0] = 10;
  totals.opened[17] = 7;
  totals.unreplied = 4;
  DropTally::Figures drops;
  drops.packets = {5, 6, 0, 0};
  auto all = networks.Divide(totals, drops);
  REQUIRE(all.size() == 1);
  CHECK(all[0].name == "other");
  CHECK(all[0].figures.connections == 10);
  CHECK(all[0].dropped_packets == 11);

  const auto first = networks.Take({{"office", One("10.1.0.0/16")}, {"vpn", One("10.9.0.0/16")}});
  const auto second = networks.Take({{"lab", One("10.1.0.0/16")}, {"vpn", One("10.2.0.0/16")}});
  CHECK(Of(*first, "10.9.0.1") == Of(*second, "10.2.0.1"));
  CHECK(Of(*first, "10.1.0.1") != Of(*second, "10.1.0.1"));
  CHECK(Of(*second, "10.9.0.1") == kOtherGroup);
  totals.groups[Of(*first, "10.1.0.1")] = {0, 0, 3, 2};
  totals.groups[Of(*second, "10.1.0.1")] = {6, 1, 2, 0};
  totals.closed[6] = 2;
  drops.group_packets[Of(*first, "10.9.0.1")] = 9;
  all = networks.Divide(totals, drops);
  REQUIRE(all.size() == 4);
  CHECK(all[0].name == "office");
  CHECK(all[0].figures.opened == 3);
  CHECK(all[1].name == "vpn");
  CHECK(all[1].dropped_packets == 9);
  CHECK(all[3].name == "other");
  CHECK(all[3].figures.connections == 4);
  CHECK(all[3].figures.unreplied == 3);
  CHECK(all[3].figures.opened == 2);
  CHECK(all[3].figures.closed == 0);
  CHECK(all[3].dropped_packets == 2);
  CHECK(networks.Take({}) != nullptr);
  CHECK(networks.Divide(totals, drops).size() == 4);
  CHECK(Of(*networks.Take({{"office", One("10.1.0.0/16")}}), "10.1.0.1") == Of(*first, "10.1.0.1"));
  CHECK(networks.turned_away() == 0);
}

TEST_CASE("names beyond the bound are in the other one, and counted") {
  NamedNetworks networks;
  for (std::size_t i = 0; i < kNamedGroupsMax; ++i) networks.Take({{"n" + std::to_string(i), One("10.1.0.0/16")}});
  CHECK(networks.turned_away() == 0);
  const auto groups = networks.Take({{"n0", One("10.1.0.0/16")}, {"one-more", One("10.2.0.0/16")}});
  CHECK(networks.turned_away() == 1);
  CHECK(Of(*groups, "10.1.0.1") != kOtherGroup);
  CHECK(Of(*groups, "10.2.0.1") == kOtherGroup);
  CHECK(networks.Divide({}, {}).size() == kNamedGroupsMax + 1);
}

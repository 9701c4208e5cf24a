// Which uses of ports have series.
#include "daemon/observation/exported/exported_nat.h"

#include <netinet/in.h>

#include <set>

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

PortUse Use(const char* destination, std::uint32_t used) {
  PortUse use;
  use.nat_address = *IpAddress::Parse("203.0.113.1");
  use.destination = {*IpAddress::Parse(destination), 443, IPPROTO_TCP};
  use.ports = {5000, 5099};
  use.used = used;
  return use;
}

NatFigures Figures(std::vector<PortUse> uses) {
  NatFigures figures;
  figures.uses = std::move(uses);
  return figures;
}

using Used = std::vector<std::uint32_t>;
Used UsedOf(const ExportedNat& exported) {
  Used used;
  for (const PortUse& use : exported.exported()) used.push_back(use.used);
  return used;
}

}  // namespace

TEST_CASE("the fullest have series, and keep them for a while when they are it no more") {
  ExportedNat exported({.top = 2, .hold = 10s, .new_max_per_hour = 600});
  auto now = ExportedNat::Clock::time_point{} + 1h;
  const auto look = [&](std::vector<PortUse> uses) {
    now += 1s;
    const NatFigures figures = Figures(std::move(uses));
    exported.Update(&figures, now);
    return UsedOf(exported);
  };
  exported.Update(nullptr, now);
  CHECK(exported.exported().empty());
  CHECK(look({Use("198.51.100.1", 9), Use("198.51.100.2", 5), Use("198.51.100.3", 1)}) == Used{9, 5});
  // The second is held: with its figures while it has some, with none in use when it has gone.
  CHECK(look({Use("198.51.100.1", 9), Use("198.51.100.3", 8), Use("198.51.100.2", 3)}) == Used{9, 3, 8});
  CHECK(look({Use("198.51.100.1", 9), Use("198.51.100.3", 8)}) == Used{9, 0, 8});
  now += 10s;
  CHECK(look({Use("198.51.100.1", 9), Use("198.51.100.3", 8)}) == Used{9, 8});
}

TEST_CASE("series are bounded, whoever comes and goes") {
  ExportedNat exported({.top = 3, .hold = 5min, .new_max_per_hour = 20});
  auto now = ExportedNat::Clock::time_point{} + 1h;
  std::set<IpAddress> ever;
  for (int i = 0; i < 1800; ++i) {
    now += 1s;
    const std::string name = "198.51." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1);
    const NatFigures figures = Figures({Use(name.c_str(), 3), Use("198.51.100.1", 2)});
    exported.Update(&figures, now);
    REQUIRE(exported.exported().size() <= 6);
    for (const PortUse& use : exported.exported()) ever.insert(use.destination.address);
  }
  CHECK(ever.size() <= 20);
  CHECK(ever.contains(*IpAddress::Parse("198.51.100.1")));
}

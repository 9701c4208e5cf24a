#include "collectors/drops/drop_targets.h"

#include <string>

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

constexpr auto kBegin = std::chrono::steady_clock::time_point{} + 24h;

}  // namespace

TEST_CASE("distinct ports are counted about right, each once, up to a thousand") {
  const int ports = GENERATE(1, 20, 100, 400, 1000);
  DropTargets targets;
  for (int again = 0; again < 3; ++again) {
    for (int port = 1; port <= ports; ++port) targets.Add(6, static_cast<std::uint16_t>(port), 0, 1, kBegin);
  }
  CHECK(targets.DistinctPorts(kBegin) == Approx(ports).epsilon(0.2).margin(1));
}

TEST_CASE("the port with most packets comes first, whatever a scan adds beside it") {
  DropTargets targets;
  for (std::uint16_t port = 1; port <= 300; ++port) {
    targets.Add(6, 443, 0, 5, kBegin);
    targets.Add(6, port, 0, 1, kBegin);
  }
  REQUIRE(!targets.Most(kBegin).empty());
  CHECK(targets.Most(kBegin)[0] == DropTarget{6, 443, 1500});
}

TEST_CASE("a scan is remembered through the next window, and forgotten after it") {
  DropTargets targets;
  for (std::uint16_t port = 1; port <= 200; ++port) targets.Add(6, port, 0, 1, kBegin);
  targets.Add(6, 1, 0, 1, kBegin + 50s);
  CHECK(targets.DistinctPorts(kBegin + 60s) > 150);
  CHECK(targets.DistinctPorts(kBegin + 100s) < 3);
  CHECK(targets.DistinctPorts(kBegin + 200s) == 0);
  CHECK(targets.Most(kBegin + 200s).empty());
}

TEST_CASE("destinations of one port are counted apart from ports, where they are known") {
  DropTargets targets;
  for (int destination = 1; destination <= 200; ++destination) {
    targets.Add(6, 445, std::hash<std::string>()(std::to_string(destination)), 1, kBegin);
    targets.Add(6, 23, 0, 1, kBegin);
  }
  CHECK(targets.DistinctPorts(kBegin) < 3);
  CHECK(targets.DistinctPairs(kBegin) == Approx(200).epsilon(0.25));
  CHECK(targets.DistinctPairs(kBegin + 60s) > 100);
  CHECK(targets.DistinctPairs(kBegin + 200s) == 0);
}

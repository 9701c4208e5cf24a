#include "test/unit/collectors/conntrack/flows/simulated_kernel.h"

using namespace conntally;
using namespace conntally::test;

namespace {

constexpr int kSteps = 4000;

}  // namespace

TEST_CASE("without losses nothing is ever corrected, and openings and ends are exact") {
  for (unsigned seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    SimulatedKernel simulation(seed, {});
    simulation.Run(kSteps);
    simulation.QuietDump();
    simulation.CheckMatchesKernel();
    simulation.CheckNothingWasCorrected();
  }
}

TEST_CASE("entries older than the tracker are adopted without being opened, however dump and events interleave") {
  for (unsigned seed = 100; seed < 160; ++seed) {
    CAPTURE(seed);
    SimulatedKernel simulation(seed, {.older_entries = 40});
    simulation.Run(static_cast<int>(seed) * 10);
    simulation.QuietDump();
    simulation.CheckMatchesKernel();
    simulation.CheckNothingWasCorrected();
  }
}

TEST_CASE("whatever was lost, one quiet dump sets every tally right") {
  for (unsigned seed = 200; seed < 260; ++seed) {
    CAPTURE(seed);
    SimulatedKernel simulation(seed, {.loss_percent = seed % 30 + 1, .older_entries = seed % 2 * 30});
    simulation.Run(kSteps);
    REQUIRE(simulation.lost() > 0);
    simulation.QuietDump();
    simulation.CheckMatchesKernel();
  }
}

TEST_CASE("with no room for all, a quiet dump makes the totals true, and once there is room every source") {
  for (unsigned seed = 300; seed < 340; ++seed) {
    CAPTURE(seed);
    SimulatedKernel simulation(seed, {.loss_percent = seed % 2 * 10, .connections_max = 10});
    simulation.Run(kSteps);
    simulation.QuietDump();
    simulation.CheckTotalsMatchKernel();
    simulation.DestroyAllBut(8);
    simulation.QuietDump();  // sweeps out what stands in the way
    simulation.QuietDump();
    simulation.CheckMatchesKernel();
  }
}

TEST_CASE("with few rows for sources the tallies stay coherent") {
  for (unsigned seed = 400; seed < 420; ++seed) {
    CAPTURE(seed);
    SimulatedKernel simulation(seed, {.loss_percent = 5, .sources_max = 3});
    simulation.Run(kSteps);
    simulation.QuietDump();
    simulation.CheckTotalsMatchKernel();
  }
}

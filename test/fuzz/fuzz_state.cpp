// Any state file is either refused or taken up within the engine's bounds, and what is saved after it is a state.
//   fuzz_state -max_total_time=120 WORK_FOLDER corpus/state
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string_view>

#include "daemon/alerts/engine/alert_engine.h"
#include "daemon/state/state_document.h"
#include "test/fuzz/json_mutator.h"

CONNTALLY_MUTATES_JSON;

using namespace conntally;

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckBounds(const AlertEngine& engine) {
  std::map<std::pair<AlertKind, Severity>, std::size_t> firing;
  for (const Alert& alert : engine.alerts())
    firing[{alert.subject.kind, alert.severity}] += alert.state == AlertState::kFiring;
  for (const auto& [key, count] : firing) Require(count <= ToldPlaces::kMax + 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const StateOrigin origin = {"boot", "", 4, 77};
  const StateTime now{std::chrono::seconds(1'800'000'000)};
  auto state = ParseState(text, origin, now);
  if (!state) {
    Require(!state.error().message.empty());
    return 0;
  }
  Require(state->age >= std::chrono::seconds(0) && state->age <= kStateAgeMax);
  AlertEngine engine;
  AlertEngine::Moment moment{std::chrono::steady_clock::time_point(std::chrono::hours(1)), now};
  engine.Restore(state->alerts, moment);
  CheckBounds(engine);
  for (int look = 0; look < 3; ++look) {
    moment.monotonic += std::chrono::seconds(5);
    engine.Update(AlertRules(Config{}.alerts), {}, moment);
    CheckBounds(engine);
  }
  const auto saved = ComposeState({.alerts = engine.Save(), .judge = std::move(state->judge)}, origin, now);
  Require(saved && ParseState(*saved, origin, now));
  return 0;
}

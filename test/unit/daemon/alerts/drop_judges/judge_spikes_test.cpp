#include "daemon/alerts/drop_judges/judge_spikes.h"

#include "test/support/catch.h"
#include "test/unit/daemon/alerts/judged_host.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

using Strings = std::vector<std::string>;

// `sources` strangers lose `rate` packets a second each, as eBPF counts them.
void Drop(Host& host, int sources, double rate, std::chrono::seconds duration) {
  if (!host.evidence.rules) host.evidence.rules = std::make_shared<RuleFigures>();
  for (std::chrono::seconds second{0}; second < duration; ++second) {
    host.evidence.dropped_packets += static_cast<std::uint64_t>(sources * rate);
    for (int i = 0; i < sources && i < 1000; ++i) {
      const std::string name = fmt::format("198.51.{}.{}", i / 250, i % 250 + 1);
      if (host.evidence.dropped.size() <= static_cast<std::size_t>(i)) host.Dropped(name, "", 445, 1);
      auto& drops = host.evidence.dropped[static_cast<std::size_t>(i)].drops;
      const auto packets =
          static_cast<std::uint64_t>(static_cast<double>(host.evidence.now.time_since_epoch() / 1s) * rate) + 1;
      drops.packets = std::max(drops.packets, packets);
      drops.shares = {{"", DropVia::kEbpf, drops.packets}};
    }
    host.Run(1s);
  }
}

}  // namespace

TEST_CASE("drops that jump to hundreds a second from a thousand sources are told, though no rule counts them") {
  Host host;
  Drop(host, 0, 0, 90s);
  Drop(host, 1000, 0.4, 50s);
  CHECK(host.Firing() == Strings{"DropRuleSpike critical "});
  CHECK(host.Find(AlertKind::kDropRuleSpike)->description.find("no known rule") != std::string::npos);
}

TEST_CASE("the chatter of many laptops that arrive is no spike") {
  Host host;
  Drop(host, 0, 0, 90s);
  for (int second = 0; second < 120; ++second) {
    host.evidence.dropped_to_many += 50;
    Drop(host, 100, 0.5, 1s);
  }
  CHECK(host.Firing().empty());
}

TEST_CASE("fifteen packets a second after a ban are no spike") {
  Host host;
  Drop(host, 0, 0, 90s);
  Drop(host, 30, 0.5, 120s);
  CHECK(host.Firing().empty());
}

TEST_CASE("one source that is banned and goes on at a hundred a second is no spike of the host's") {
  Host host;
  Drop(host, 0, 0, 90s);
  Drop(host, 1, 90, 120s);
  CHECK(host.Firing() == Strings{"SourceMatchesDropRule info 198.51.0.1"});
}

TEST_CASE("steady noise of the internet is usual, however loud") {
  Host host;
  Drop(host, 400, 1, 300s);
  CHECK(host.Find(AlertKind::kDropRuleSpike) == nullptr);
}

TEST_CASE("ten times as many sources that each lose as much as before are no spike") {
  Host host;
  host.Answers(443);
  const bool connected = GENERATE(true, false);  // forged ones are answered, and never complete a handshake
  host.evidence.attempts.connected_sources = 10;
  Drop(host, 30, 0.5, 120s);
  (connected ? host.evidence.attempts.connected_sources : host.evidence.attempts.proven_sources) = 140;
  Drop(host, 430, 0.5, 60s);
  CHECK((host.Find(AlertKind::kDropRuleSpike) == nullptr) == connected);
}

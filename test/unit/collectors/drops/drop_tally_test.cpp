#include "collectors/drops/drop_tally.h"

#include <algorithm>
#include <tuple>

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

// {rule, via, packets}
using Share = std::tuple<std::string, DropVia, std::uint64_t>;
using Shares = std::vector<Share>;

DropKey Key(const char* source, std::uint16_t port, std::uint8_t hooks = HookSet::kInput) {
  DropKey key;
  key.source = IpAddress::Parse(source).value();
  key.protocol = 17;
  key.destination_port = port;
  key.hooks = HookSet(hooks);
  return key;
}

class Rounds {
 public:
  explicit Rounds(bool ebpf_counts, DropTally::Options options = {}) : tally(options, KeyedHash::WithRandomSecret()) {
    tally.set_ebpf_counts(ebpf_counts);
  }

  void Counted(const DropKey& key, std::uint64_t packets) { tally.AddCounted({key, packets}); }
  void Logged(const DropKey& key, const char* prefix, std::uint64_t packets, DropVia via = DropVia::kNflog) {
    for (std::uint64_t i = 0; i < packets; ++i) tally.AddLogged({key, via, prefix});
  }
  void End(int rounds = 1) {
    for (int i = 0; i < rounds; ++i) {
      now += 200ms;
      tally.EndRound(now);
    }
  }
  Shares Of(const char* source) const {
    Shares shares;
    if (const auto drops = tally.Find(*IpAddress::Parse(source), now)) {
      for (const DropShare& share : drops->shares) shares.emplace_back(share.rule, share.via, share.packets);
    }
    std::sort(shares.begin(), shares.end());
    return shares;
  }

  DropTally tally;
  DropTally::Time now{};
};

}  // namespace

TEST_CASE("what eBPF counts and no log tells of is of no rule") {
  Rounds rounds(true);
  rounds.Counted(Key("10.0.0.1", 80), 5);
  rounds.Counted(Key("10.0.0.1", 81), 2);
  rounds.End(2);
  CHECK(rounds.Of("10.0.0.1") == Shares{{"", DropVia::kEbpf, 7}});
  CHECK(rounds.tally.figures().packets[static_cast<std::size_t>(DropVia::kEbpf)] == 7);
}

TEST_CASE("a logged packet names a counted one, whichever is told of first, and counts nothing") {
  for (const int logged_round : {0, 1}) {
    Rounds rounds(true);
    rounds.Counted(Key("10.0.0.1", 80), 5);
    if (logged_round == 1) rounds.End();
    rounds.Logged(Key("10.0.0.1", 80), "DROP", 3);
    rounds.End(3);
    CHECK(rounds.Of("10.0.0.1") == Shares{{"", DropVia::kEbpf, 2}, {"DROP", DropVia::kNflog, 3}});
  }
  Rounds late(true);
  late.Logged(Key("10.0.0.1", 80), "DROP", 3);
  late.End();
  late.Counted(Key("10.0.0.1", 80), 3);
  late.End(3);
  CHECK(late.Of("10.0.0.1") == Shares{{"DROP", DropVia::kNflog, 3}});
}

TEST_CASE("never more are named than were counted, and never by a log of another port, hook or time") {
  Rounds rounds(true);
  rounds.Counted(Key("10.0.0.1", 80), 4);
  rounds.Logged(Key("10.0.0.1", 81), "other port", 4);
  rounds.Logged(Key("10.0.0.1", 80, HookSet::kOutput), "other hook", 4);
  rounds.Logged(Key("10.0.0.2", 80), "other source", 4);
  rounds.End(2);
  CHECK(rounds.Of("10.0.0.1") == Shares{{"", DropVia::kEbpf, 4}});
  CHECK(rounds.Of("10.0.0.2").empty());
  rounds.Logged(Key("10.0.0.3", 80), "long ago", 9);
  rounds.End(5);
  rounds.Counted(Key("10.0.0.3", 80), 1);
  rounds.Logged(Key("10.0.0.4", 80), "too many", 9);
  rounds.Counted(Key("10.0.0.4", 80), 2);
  rounds.End(3);
  CHECK(rounds.Of("10.0.0.3") == Shares{{"", DropVia::kEbpf, 1}});
  CHECK(rounds.Of("10.0.0.4") == Shares{{"too many", DropVia::kNflog, 2}});
}

TEST_CASE("a packet of which NFLOG and LOG both tell is counted once") {
  for (const bool ebpf : {true, false}) {
    Rounds rounds(ebpf);
    if (ebpf) rounds.Counted(Key("10.0.0.1", 80), 10);
    rounds.Logged(Key("10.0.0.1", 80), "by log", 10, DropVia::kLog);
    rounds.Logged(Key("10.0.0.1", 80), "by nflog", 10);
    rounds.End(4);
    CHECK(rounds.Of("10.0.0.1") == Shares{{"by nflog", DropVia::kNflog, 10}});
  }
}

TEST_CASE("without eBPF the logs are the count") {
  Rounds rounds(false);
  rounds.Logged(Key("10.0.0.1", 80), "a", 3);
  rounds.Logged(Key("10.0.0.1", 80), "b", 4, DropVia::kLog);
  rounds.Logged(Key("10.0.0.1", 81), "b", 4, DropVia::kLog);
  rounds.End(4);
  // One of the four logged for port 80 was none of NFLOG's three.
  CHECK(rounds.Of("10.0.0.1") == Shares{{"a", DropVia::kNflog, 3}, {"b", DropVia::kLog, 5}});
}

TEST_CASE("what waits to be attributed is counted with its rule, or without when none is found in time") {
  Rounds rounds(true);
  rounds.tally.set_attributes(true);
  rounds.Counted(Key("10.0.0.1", 80), 5);
  rounds.Counted(Key("10.0.0.1", 81), 7);
  rounds.Counted(Key("10.0.0.1", 82), 1);
  rounds.End(2);
  CHECK(rounds.Of("10.0.0.1").empty());
  rounds.tally.Attribute(
      [](const DropKey& key, std::uint64_t) -> std::optional<std::string> {
        if (key.destination_port == 80) return "rule";
        if (key.destination_port == 82) return "";
        return std::nullopt;
      },
      rounds.now);
  CHECK(rounds.Of("10.0.0.1") == Shares{{"", DropVia::kEbpf, 1}, {"rule", DropVia::kEbpf, 5}});
  rounds.End(60);
  CHECK(rounds.Of("10.0.0.1") == Shares{{"", DropVia::kEbpf, 8}, {"rule", DropVia::kEbpf, 5}});
}

TEST_CASE("the keys with most packets are attributed first, and more than may wait are counted") {
  Rounds rounds(true);
  rounds.tally.set_attributes(true);
  for (std::size_t port = 1; port < DropTally::kUnattributedSourcesMax; ++port)
    rounds.Counted(Key("10.0.0.1", static_cast<std::uint16_t>(port)), 1);
  rounds.Counted(Key("192.0.2.1", 80), 900);
  rounds.Counted(Key("10.0.0.2", 80), 7);
  rounds.End(2);
  CHECK(rounds.Of("10.0.0.2") == Shares{{"", DropVia::kEbpf, 7}});
  CHECK(rounds.tally.figures().rules_turned_away == 7);
  int asked = 0;
  rounds.tally.Attribute(
      [&](const DropKey&, std::uint64_t) { return std::optional<std::string>(asked++ == 0 ? "asked first" : ""); },
      rounds.now);
  CHECK(rounds.Of("192.0.2.1") == Shares{{"asked first", DropVia::kEbpf, 900}});
}

TEST_CASE("counters only rise, and nothing stays behind when it is settled") {
  Rounds rounds(true);
  std::uint64_t before = 0;
  for (int i = 0; i < 50; ++i) {
    rounds.Counted(Key("10.0.0.1", 80), 3);
    rounds.Logged(Key("10.0.0.1", 80), i % 2 == 0 ? "even" : "odd", 2);
    rounds.End();
    std::uint64_t sum = 0;
    for (const auto& [rule, via, packets] : rounds.Of("10.0.0.1")) sum += packets;
    CHECK(sum >= before);
    before = sum;
  }
  rounds.tally.Settle(rounds.now);
  std::uint64_t sum = 0;
  for (const auto& [rule, via, packets] : rounds.Of("10.0.0.1")) sum += packets;
  CHECK(sum == 150);
}

TEST_CASE("past its bounds a packet loses its rule's name, and is counted all the same") {
  Rounds rounds(false);
  for (int i = 0; i < 100; ++i) rounds.Logged(Key("10.0.0.1", 80), ("rule " + std::to_string(i)).c_str(), 2);
  rounds.End(4);
  const Shares shares = rounds.Of("10.0.0.1");
  CHECK(shares.size() == RuleShares::kFreeMax + 1);
  CHECK(shares.front() == Share{"", DropVia::kNflog, 200 - 2 * RuleShares::kFreeMax});
  CHECK(rounds.tally.figures().rules_turned_away == 200 - 2 * RuleShares::kFreeMax);

  for (std::uint32_t i = 0; i < 2 * DropTally::kLoggedMax; ++i) {
    rounds.Logged(Key("10.9.0.1", static_cast<std::uint16_t>(i)), "flood", i < DropTally::kLoggedMax ? 1 : 2);
  }
  rounds.End(4);
  std::uint64_t sum = 0;
  for (const auto& [rule, via, packets] : rounds.Of("10.9.0.1")) sum += packets;
  CHECK(sum == 3 * DropTally::kLoggedMax);
}

TEST_CASE("a rule that drops is named, however many rules dropped a source's packets before") {
  Rounds rounds(false);
  const auto packets_of = [&](const char* rule) {
    for (const auto& [name, via, packets] : rounds.Of("10.0.0.1")) {
      if (name == rule) return packets;
    }
    return std::uint64_t{0};
  };
  for (int i = 0; i < 1000; ++i) rounds.Logged(Key("10.0.0.1", 80), ("rule " + std::to_string(i)).c_str(), 1);
  rounds.Logged(Key("10.0.0.1", 80), "flood", 500);
  rounds.End(4);
  CHECK(packets_of("flood") == 500);
}

TEST_CASE("hosts with a rule a ban never run out of names") {
  // First the sources that had them are forgotten, then all that there is room for are still tracked.
  const std::uint32_t tracked_max = GENERATE(1000U, 4 * static_cast<std::uint32_t>(RuleNames::kMax));
  Rounds rounds(false, {.tracked_max = tracked_max});
  DropKey banned = Key("10.0.0.0", 80);
  std::uint64_t of_lasting = 0;
  for (std::uint32_t i = 1; i <= RuleNames::kMax + 2000; ++i) {
    for (unsigned byte = 0; byte < 3; ++byte)
      banned.source.bytes[3 - byte] = static_cast<std::uint8_t>(i >> (8 * byte));
    rounds.Logged(banned, ("ban " + std::to_string(i)).c_str(), 2);
    if (i % 1000 != 0) continue;
    rounds.Logged(Key("192.0.2.1", 80), "the lasting rule", 100);
    of_lasting += 100;
    rounds.End(3);
  }
  rounds.Logged(Key("192.0.2.2", 80), "one more", 5);
  rounds.Logged(Key("192.0.2.1", 80), "", 1);
  rounds.End(3);
  CHECK(rounds.Of("192.0.2.2") == Shares{{"one more", DropVia::kNflog, 5}});
  CHECK(rounds.Of("192.0.2.1") == Shares{{"", DropVia::kNflog, 1}, {"the lasting rule", DropVia::kNflog, of_lasting}});
  // The first of them lost its name where there was no other way, and no packet.
  const bool all_tracked = tracked_max > RuleNames::kMax;
  if (all_tracked) CHECK(rounds.Of("10.0.0.1") == Shares{{"", DropVia::kNflog, 2}});
  CHECK((rounds.tally.figures().rules_turned_away != 0) == all_tracked);
}

TEST_CASE("sources are counted together by their prefix") {
  Rounds rounds(true, {.tracked_max = 10, .grouping = {24, 64}});
  rounds.Counted(Key("10.0.0.1", 80), 1);
  rounds.Counted(Key("10.0.0.2", 80), 2);
  rounds.Counted(Key("2001:db8::1", 80), 3);
  rounds.Counted(Key("2001:db8::2", 80), 4);
  rounds.End(2);
  CHECK(rounds.Of("10.0.0.0") == Shares{{"", DropVia::kEbpf, 3}});
  CHECK(rounds.Of("2001:db8::") == Shares{{"", DropVia::kEbpf, 7}});
}

TEST_CASE("the rate is of the last seconds, and a source that is no longer dropped leaves the ranking") {
  Rounds rounds(true);
  for (int i = 0; i < 300; ++i) {
    rounds.Counted(Key("10.0.0.1", 80), 20);
    rounds.End();
  }
  const auto rates = rounds.tally.Rates(rounds.now);
  REQUIRE(rates.size() == 1);
  CHECK(rates[0].rate > 95);
  CHECK(rates[0].rate < 105);
  CHECK(rounds.tally.Rates(rounds.now + 5min).empty());
}

TEST_CASE("a flood of sources does not enter the ranking, and what it overflows is exact since it is tracked") {
  Rounds rounds(true, {.tracked_max = 16});
  for (int i = 0; i < 2000; ++i) {
    rounds.Counted(Key(("10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250)).c_str(), 80), 1);
    if (i % 10 == 0) rounds.Counted(Key("10.0.0.1", 80), 10);
    rounds.End();
  }
  rounds.End();
  const auto rates = rounds.tally.Rates(rounds.now);
  REQUIRE(rates.size() == 1);
  CHECK(rates[0].source == *IpAddress::Parse("10.0.0.1"));
  const auto drops = rounds.tally.Find(rates[0].source, rounds.now);
  CHECK(drops->packets <= 2000);
  CHECK(drops->packets + drops->error >= 2000);
  CHECK(rounds.tally.figures().sources_evicted > 1900);
}

TEST_CASE("sets count while eBPF does not, once the logs have told what they will") {
  Rounds rounds(false);
  const IpAddress source = *IpAddress::Parse("10.0.0.1");
  rounds.tally.AddSetCounted({{source, "ip saddr @bad drop", 7}}, rounds.now);
  rounds.End(9);
  CHECK(rounds.Of("10.0.0.1").empty());
  rounds.End();
  CHECK(rounds.Of("10.0.0.1") == Shares{{"ip saddr @bad drop", DropVia::kSet, 7}});

  Rounds with_ebpf(true);
  with_ebpf.tally.AddSetCounted({{source, "ip saddr @bad drop", 7}}, with_ebpf.now);
  with_ebpf.End(20);
  CHECK(with_ebpf.Of("10.0.0.1").empty());
}

TEST_CASE("what a log told of as well is the log's, however late the set is read") {
  for (const int rounds_between : {1, 5, 25}) {
    Rounds rounds(false);
    const IpAddress source = *IpAddress::Parse("10.0.0.1");
    rounds.tally.AddSetCounted({}, rounds.now);
    std::uint64_t dropped = 0;
    for (int i = 0; i < 20; ++i) {
      rounds.Logged(Key("10.0.0.1", 80), "DROP", 3);
      dropped += 5;
      rounds.End(rounds_between);
      rounds.tally.AddSetCounted({{source, "set", 5}}, rounds.now);
    }
    rounds.End(30);
    CHECK(rounds.Of("10.0.0.1") == Shares{{"DROP", DropVia::kNflog, 60}, {"set", DropVia::kSet, dropped - 60}});
  }
}

TEST_CASE("what a log told of long ago is not taken off a set's count") {
  Rounds rounds(false);
  rounds.tally.AddSetCounted({}, rounds.now);
  rounds.Logged(Key("10.0.0.1", 80), "of another rule", 50);
  for (int i = 0; i < 4; ++i) {
    rounds.End(25);
    rounds.tally.AddSetCounted({}, rounds.now);
  }
  rounds.tally.AddSetCounted({{*IpAddress::Parse("10.0.0.1"), "set", 20}}, rounds.now);
  rounds.End(30);
  CHECK(rounds.Of("10.0.0.1") == Shares{{"of another rule", DropVia::kNflog, 50}, {"set", DropVia::kSet, 20}});
}

#include "collectors/rules/rule_counters.h"

#include <utility>

#include "test/support/catch.h"

using namespace conntally;

namespace {

struct Shown {
  std::string text;
  std::uint64_t handle;
  std::optional<std::uint64_t> packets;
  Verdict verdict = Verdict::kDrop;
};

// Feeds rulesets as a reader would and looks at what became of them.
class Firewall {
 public:
  explicit Firewall(std::uint32_t series_max = 100) : counters_(series_max) {}

  // With the same generation as before, the ruleset stays the same object.
  void Show(const std::vector<Shown>& rules, std::chrono::hours later = std::chrono::hours(0)) {
    auto ruleset = std::make_shared<Ruleset>();
    ruleset->generation = ++generation_;
    ruleset->tables.push_back({RuleFamily::kIp, "t", rules.size(), 0});
    for (const Shown& shown : rules) {
      Rule& rule = ruleset->rules.emplace_back();
      rule.table = "t", rule.chain = "c", rule.text = shown.text, rule.handle = shown.handle,
      rule.verdict = shown.verdict;
      rule.has_counter = shown.packets.has_value();
    }
    ruleset_ = ruleset;
    Count(rules, later);
  }
  void Count(const std::vector<Shown>& rules, std::chrono::hours later = std::chrono::hours(0)) {
    now_ += later;
    FirewallReading snapshot;
    BackendReading& read = snapshot.backends[RuleBackend::kNftables];
    read.present = read.success = true;
    read.ruleset = ruleset_;
    read.sets = std::make_shared<std::vector<AddressSet>>();
    for (const Shown& shown : rules) {
      read.counters.push_back(shown.packets ? std::optional(RuleCounter{*shown.packets, *shown.packets * 10})
                                            : std::nullopt);
    }
    read.changes = std::exchange(changes_, {});
    counters_.Update(std::move(snapshot), now_);
  }
  // Like Show, with what the kernel told meanwhile: `finals` and `begun` by rule, of the rules before and of these.
  struct Told {
    std::vector<std::optional<std::uint64_t>> finals = {};
    std::vector<std::pair<std::string, std::uint64_t>> passed = {};
    std::vector<std::optional<std::uint64_t>> begun = {};
  };
  void Reload(const std::vector<Shown>& rules, const Told& told) {
    const auto counters = [](const auto& packets) {
      std::vector<std::optional<RuleCounter>> all;
      for (const auto& each : packets)
        all.push_back(each ? std::optional(RuleCounter{*each, *each * 10}) : std::nullopt);
      return all;
    };
    changes_.before = ruleset_;
    changes_.finals = counters(told.finals);
    changes_.begun = counters(told.begun);
    for (const auto& [text, packets] : told.passed)
      changes_.passed.push_back({RuleFamily::kIp, "t", "c", text, {packets, packets * 10}});
    Show(rules);
  }
  void BeginAnew() { counters_.BeginAnew(); }
  void ReadAnew() { counters_.ReadAnew(); }
  void Fail() {
    FirewallReading snapshot;
    BackendReading& read = snapshot.backends[RuleBackend::kNftables];
    read.present = true;
    read.failure = "no";
    read.ruleset = std::make_shared<Ruleset>();
    counters_.Update(std::move(snapshot), now_);
  }

  const BackendFigures& figures() const { return counters_.figures()->backends.at(RuleBackend::kNftables); }
  std::uint64_t turned_away() const { return counters_.figures()->series_turned_away; }
  std::vector<std::uint64_t> packets() const {
    std::vector<std::uint64_t> all;
    for (const RuleTotal& total : figures().totals) all.push_back(total.counter ? total.counter->packets : 999'999);
    return all;
  }

 private:
  using Packets = std::vector<std::uint64_t>;
  RuleCounters counters_;
  std::shared_ptr<const Ruleset> ruleset_;
  RuleChanges changes_;
  std::uint32_t generation_ = 0xfffffffe;  // it wraps
  RuleCounters::Time now_{};
};

using Packets = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("a rule begins with what the kernel shows and goes on from there") {
  Firewall firewall;
  firewall.Show({{"a", 1, 5}});
  CHECK(firewall.packets() == Packets{5});
  firewall.Count({{"a", 1, 9}});
  CHECK(firewall.packets() == Packets{9});
  CHECK(firewall.figures().totals[0].counter->bytes == 90);
}

TEST_CASE("a reload that keeps the text keeps the counter, whether it keeps the kernel's or not") {
  Firewall firewall;
  firewall.Show({{"a", 1, 5}, {"b", 2, 50}});
  firewall.Show({{"new", 3, 1}, {"a", 4, 0}, {"b", 5, 51}});
  CHECK(firewall.packets() == Packets{1, 5, 51});
  firewall.Count({{"new", 3, 1}, {"a", 4, 2}, {"b", 5, 52}});
  CHECK(firewall.packets() == Packets{1, 7, 52});
  CHECK(firewall.figures().totals[1].first_handle == 1);
  CHECK(firewall.figures().changes == 1);
}

TEST_CASE("a counter that fell was reset, and what it shows is new") {
  Firewall firewall;
  firewall.Show({{"a", 1, 100}});
  firewall.Count({{"a", 1, 3}});
  CHECK(firewall.packets() == Packets{103});
}

TEST_CASE("of rules that say the same each keeps its own counter by its handle, else by its place") {
  Firewall firewall;
  firewall.Show({{"a", 1, 10}, {"a", 2, 20}, {"a", 3, 30}});
  firewall.Show({{"a", 2, 21}, {"a", 3, 31}});
  CHECK(firewall.packets() == Packets{21, 31});
  CHECK(firewall.figures().totals[0].occurrence == 1);
  firewall.Show({{"a", 7, 0}, {"a", 8, 0}, {"a", 9, 0}});
  CHECK(firewall.packets() == Packets{10, 21, 31});
}

TEST_CASE("a rule that was away comes back with its counter, and is told in between by nobody") {
  Firewall firewall;
  firewall.Show({{"a", 1, 10}});
  firewall.Show({});
  CHECK(firewall.packets().empty());
  firewall.Show({{"a", 5, 2}});
  CHECK(firewall.packets() == Packets{12});
  firewall.Show({});
  firewall.Show({}, RuleCounters::kForgetAfter + std::chrono::hours(1));
  firewall.Show({{"a", 6, 2}});
  CHECK(firewall.packets() == Packets{2});
}

TEST_CASE("a rule without a counter has none") {
  Firewall firewall;
  firewall.Show({{"a", 1, std::nullopt}});
  CHECK_FALSE(firewall.figures().totals[0].counter);
  CHECK_FALSE(firewall.figures().totals[0].exported);
}

TEST_CASE("series_max keeps drops and rejects first, in their order, and counts the others once") {
  Firewall firewall(2);
  const std::vector<Shown> rules = {{"a", 1, 1, Verdict::kAccept},
                                    {"b", 2, 1, Verdict::kDrop},
                                    {"c", 3, 1, Verdict::kAccept},
                                    {"d", 4, 1, Verdict::kReject}};
  firewall.Show(rules);
  firewall.Count(rules);
  std::vector<bool> exported;
  for (const RuleTotal& total : firewall.figures().totals) exported.push_back(total.exported);
  CHECK(exported == std::vector<bool>{false, true, false, true});
  CHECK(firewall.turned_away() == 2);
}

TEST_CASE("while reading fails the last figures stay, and say so") {
  Firewall firewall;
  firewall.Show({{"a", 1, 10}});
  firewall.Fail();
  CHECK(firewall.packets() == Packets{10});
  CHECK_FALSE(firewall.figures().snapshot.success);
  firewall.Count({{"a", 1, 11}});
  CHECK(firewall.packets() == Packets{11});
}

TEST_CASE("a label is at most 200 bytes of valid UTF-8") {
  CHECK(RuleLabel("counter drop") == "counter drop");
  CHECK(RuleLabel(std::string(300, 'x')).size() == 200);
  std::string long_text(199, 'x');
  CHECK(RuleLabel(long_text + "\xc3\xa9") == long_text);
  CHECK(RuleLabel("a\xff\xc3z\xed\xa0\x80") == "a??z???");
}

TEST_CASE("what a rule counted until it was replaced is taken in, and so is what came and went") {
  Firewall firewall;
  firewall.Show({{"a", 1, 10}, {"b", 2, 0}});
  firewall.Reload({{"a", 1, 4}, {"b", 2, 1}}, {.finals = {15, 3}, .passed = {{"a", 7}}, .begun = {0, 0}});
  CHECK(firewall.packets() == Packets{10 + 5 + 7 + 4, 3 + 1});
  firewall.Count({{"a", 1, 6}, {"b", 2, 1}});
  CHECK(firewall.packets() == Packets{28, 4});
}

TEST_CASE("what a deleted rule counted last is there when the rule comes back") {
  Firewall firewall;
  firewall.Show({{"a", 1, 10}});
  firewall.Reload({}, {.finals = {15}});
  firewall.Reload({{"a", 7, 2}}, {.begun = {0}});
  CHECK(firewall.packets() == Packets{17});
}

TEST_CASE("counters that a restore wrote are no new packets") {
  Firewall firewall;
  firewall.Show({{"a", 1, 100}});
  firewall.Reload({{"a", 2, 103}}, {.finals = {110}, .begun = {100}});
  CHECK(firewall.packets() == Packets{113});
  // Of an old file, past which the counter has gone long since.
  firewall.Reload({{"a", 3, 51}}, {.finals = {105}, .begun = {50}});
  CHECK(firewall.packets() == Packets{116});
}

TEST_CASE("packets that came while the rules were replaced are counted") {
  Firewall firewall;
  firewall.Show({{"a", 1, 0}});
  firewall.Reload({{"a", 1, 30}}, {.finals = {1000}, .begun = {9}});
  CHECK(firewall.packets() == Packets{1030});
}

TEST_CASE("without word from the kernel a reload is told from what counters show") {
  Firewall firewall;
  firewall.Show({{"a", 1, 10}});
  firewall.Reload({{"a", 1, 4}}, {});  // of messages that were lost
  CHECK(firewall.packets() == Packets{14});
}

TEST_CASE("another network namespace's counters are added to those of the one before") {
  Firewall firewall;
  firewall.Show({{"a", 1, 10}});
  firewall.BeginAnew();
  firewall.Show({{"a", 1, 25}});
  CHECK(firewall.packets() == Packets{35});
  CHECK(firewall.figures().changes == 0);
}

TEST_CASE("the same counters read by another reader are counted once") {
  Firewall firewall;
  firewall.Show({{"a", 1, 10}});
  firewall.ReadAnew();
  firewall.Show({{"a", 1, 25}});
  CHECK(firewall.packets() == Packets{25});
  CHECK(firewall.figures().changes == 0);
}

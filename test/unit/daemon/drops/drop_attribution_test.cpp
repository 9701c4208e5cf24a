#include "daemon/drops/drop_attribution.h"

#include "test/support/catch.h"
#include "test/unit/daemon/drops/read_firewall.h"

using namespace conntally;

TEST_CASE("the one rule that matches and whose counter rose dropped the packet") {
  Firewall firewall("input");
  firewall.Add(Rule_("dport 22 drop", Verdict::kDrop, {Port(22)}), 5);
  firewall.Add(Rule_("dport 80 drop", Verdict::kDrop, {Port(80)}), 7);
  CHECK(firewall.Of(Key("10.0.0.1", 22)) == "dport 22 drop");
  CHECK(firewall.Of(Key("10.0.0.1", 80)) == "dport 80 drop");
  CHECK_FALSE(firewall.Of(Key("10.0.0.1", 443)));
  CHECK_FALSE(firewall.Of(Key("10.0.0.1", 22, HookSet::kForward)));
  CHECK(firewall.Of(Key("10.0.0.1", 22, HookSet::kPrerouting | HookSet::kInput)) == "dport 22 drop");
}

TEST_CASE("a counter that stood still, or rose by less than was dropped, says that it was not this rule") {
  Firewall firewall("input");
  firewall.Add(Rule_("first", Verdict::kDrop, {Source("10.0.0.0", "10.0.0.9")}), 0);
  firewall.Add(Rule_("second", Verdict::kDrop, {Port(22)}), 5);
  CHECK_FALSE(firewall.Of(Key("10.0.0.1", 22)));  // the first would have taken it
  CHECK(firewall.Of(Key("10.0.1.1", 22)) == "second");
  CHECK_FALSE(firewall.Of(Key("10.0.1.1", 22), 6));
}

TEST_CASE("a rule that counts nothing is named when it matches for certain, and nothing else can have been it") {
  Firewall firewall("input");
  firewall.Add(Rule_("dport 22 drop", Verdict::kDrop, {Port(22)}), std::nullopt);
  firewall.Add(Rule_("invalid drop", Verdict::kDrop, {Number(Kind::kConntrackState, 1), Port(80)}), std::nullopt);
  firewall.Add(Rule_("dport 443 drop", Verdict::kDrop, {Port(443)}), 5);
  CHECK(firewall.Of(Key("10.0.0.1", 22)) == "dport 22 drop");
  CHECK_FALSE(firewall.Of(Key("10.0.0.1", 80)));  // its state is not known
  CHECK(firewall.Of(Key("10.0.0.1", 443)) == "dport 443 drop");
}

TEST_CASE("the connection's state, where it is known, decides which rule can have been it") {
  Firewall firewall("input", Verdict::kDrop);
  firewall.Add(Rule_("established accept", Verdict::kAccept, {Number(Kind::kConntrackState, 2)}), std::nullopt);
  firewall.Add(Rule_("invalid drop", Verdict::kDrop, {Number(Kind::kConntrackState, 1)}), std::nullopt);
  firewall.Add(Rule_("dport 22 drop", Verdict::kDrop, {Port(22)}), std::nullopt);
  DropKey key = Key("10.0.0.1", 22);
  CHECK_FALSE(firewall.Of(key));
  key.state = 8;
  CHECK(firewall.Of(key) == "dport 22 drop");
  key.state = 1;
  CHECK(firewall.Of(key) == "invalid drop");
}

TEST_CASE("of two that may have dropped it neither is named") {
  Firewall firewall("input");
  Rule unknown = Rule_("something drop", Verdict::kDrop, {});
  unknown.fully_understood = false;
  firewall.Add(unknown, 3);
  firewall.Add(Rule_("dport 22 drop", Verdict::kDrop, {Port(22)}), 5);
  CHECK_FALSE(firewall.Of(Key("10.0.0.1", 22)));

  Firewall silent("input");
  silent.Add(Rule_("source drop", Verdict::kDrop, {Number(Kind::kConntrackState, 1)}), std::nullopt);
  silent.Add(Rule_("dport 22 drop", Verdict::kDrop, {Port(22)}), 5);
  CHECK_FALSE(silent.Of(Key("10.0.0.1", 22)));
}

TEST_CASE("what the key does not tell is no obstacle to the one rule that is left") {
  Firewall firewall("input");
  firewall.Add(Rule_("ct state invalid drop", Verdict::kDrop, {Number(Kind::kConntrackState, 1)}), 5);
  firewall.Add(Rule_("daddr drop", Verdict::kDrop, {Number(Kind::kDestination, 0)}), 0);
  CHECK(firewall.Of(Key("10.0.0.1", 22)) == "ct state invalid drop");
  CHECK_FALSE(firewall.Of(Key("10.0.0.1", 22), 6));

  Firewall contended("input");
  contended.Add(Rule_("ct state invalid drop", Verdict::kDrop, {Number(Kind::kConntrackState, 1)}), 5);
  contended.Add(Rule_("dport 22 drop", Verdict::kDrop, {Port(22)}), 5);
  CHECK_FALSE(contended.Of(Key("10.0.0.1", 22)));
  CHECK(contended.Of(Key("10.0.0.1", 23)) == "ct state invalid drop");

  Firewall limited("input");
  Rule rule = Rule_("limit rate over 5/second drop", Verdict::kDrop, {Port(22)});
  rule.limits.emplace_back();
  limited.Add(rule, 5);
  CHECK(limited.Of(Key("10.0.0.1", 22)) == "limit rate over 5/second drop");
}

TEST_CASE("a rule with something that is not understood is not named, though it alone remains") {
  Firewall firewall("input");
  Rule rule = Rule_("something drop", Verdict::kDrop, {Port(22)});
  rule.fully_understood = false;
  firewall.Add(rule, 5);
  CHECK_FALSE(firewall.Of(Key("10.0.0.1", 22)));

  Firewall jumps("input");
  Rule jump = Rule_("something jump", Verdict::kJump, {});
  jump.fully_understood = false;
  jump.jump_target = "other";
  jumps.Add(jump, 5);
  jumps.Begin({}, "other");
  jumps.Add(Rule_("drop", Verdict::kDrop, {}), 5);
  CHECK_FALSE(jumps.Of(Key("10.0.0.1", 22)));
}

TEST_CASE("where nothing but rules drops, the only one that is left is named, counted and understood or not") {
  const auto counter = GENERATE(std::optional<std::uint64_t>(5), std::optional<std::uint64_t>());
  const bool of_length = GENERATE(true, false);
  const auto add = [&](Firewall& firewall) {
    Rule rule = Rule_("one drop", Verdict::kDrop, {Number(Kind::kMark, 7)});
    rule.fully_understood = !of_length;
    firewall.Add(rule, counter);
  };
  Firewall forward("forward"), input("input");
  add(forward);
  add(input);
  CHECK(forward.Of(Key("10.0.0.1", 22, HookSet::kForward)) == "one drop");
  DropKey key = Key("10.0.0.1", 22);
  CHECK(input.Of(key).has_value() == (counter.has_value() && !of_length));
  key.state = 2;
  CHECK(input.Of(key) == "one drop");
  forward.Add(Rule_("dport 22 drop", Verdict::kDrop, {Port(22)}), std::nullopt);
  CHECK_FALSE(forward.Of(Key("10.0.0.1", 22, HookSet::kForward)));
}

TEST_CASE("what is accepted before is not dropped after, and a policy may be what dropped it") {
  Firewall accepts("input");
  accepts.Add(Rule_("accept", Verdict::kAccept, {Port(22)}), 5);
  accepts.Add(Rule_("drop", Verdict::kDrop, {}), 5);
  CHECK_FALSE(accepts.Of(Key("10.0.0.1", 22)));
  CHECK(accepts.Of(Key("10.0.0.1", 23)) == "drop");

  Firewall policy("input", Verdict::kDrop);
  policy.Add(Rule_("dport 22 drop", Verdict::kDrop, {Port(22)}), 5);
  CHECK(policy.Of(Key("10.0.0.1", 22)) == "dport 22 drop");
  CHECK_FALSE(policy.Of(Key("10.0.0.1", 23)));
}

TEST_CASE("chains that are jumped to are walked, and returned from") {
  Firewall firewall("input");
  Rule jump = Rule_("jump", Verdict::kJump, {Source("10.0.0.0", "10.0.0.255")});
  jump.jump_target = "other";
  firewall.Add(jump, 9);
  firewall.Add(Rule_("last", Verdict::kDrop, {}), 9);
  firewall.Begin({}, "other");
  firewall.Add(Rule_("return", Verdict::kReturn, {Port(80)}), 9);
  firewall.Add(Rule_("inner", Verdict::kDrop, {}), 9);
  CHECK(firewall.Of(Key("10.0.0.1", 22)) == "inner");
  CHECK(firewall.Of(Key("10.0.0.1", 80)) == "last");
  CHECK(firewall.Of(Key("10.0.1.1", 22)) == "last");
}

TEST_CASE("a jump into a chain that only drops is the rule where it counts, else the one that it leads to") {
  for (const bool counts : {true, false}) {
    Firewall firewall("input");
    Rule jump = Rule_("dport 22 jump dropper", Verdict::kDrop, {Port(22)});
    jump.jump_target = "dropper";
    jump.has_counter = counts;
    firewall.Add(jump, counts ? std::optional<std::uint64_t>(9) : std::nullopt);
    firewall.Add(Rule_("last", Verdict::kDrop, {}), 9);
    firewall.Begin({}, "dropper");
    firewall.Add(Rule_("inner", Verdict::kDrop, {}), 9);
    CHECK(firewall.Of(Key("10.0.0.1", 22)) == (counts ? "dport 22 jump dropper" : "inner"));
    CHECK(firewall.Of(Key("10.0.0.1", 23)) == "last");
  }
}

TEST_CASE("a goto comes back to whoever jumped before it, and at last to the policy") {
  const auto to = [](const char* text, Verdict verdict, const char* target, std::vector<RuleCondition> conditions) {
    Rule rule = Rule_(text, verdict, std::move(conditions));
    rule.jump_target = target;
    return rule;
  };
  Firewall firewall("input", Verdict::kDrop);
  firewall.Add(to("jump", Verdict::kJump, "first", {}), 9);
  firewall.Add(Rule_("after the jump", Verdict::kDrop, {Port(22)}), 9);
  firewall.Add(to("goto", Verdict::kGoto, "second", {Port(80)}), 9);
  firewall.Add(Rule_("return", Verdict::kReturn, {Port(81)}), 9);
  firewall.Add(Rule_("last", Verdict::kDrop, {}), 9);
  firewall.Begin({}, "first");
  firewall.Add(to("goto", Verdict::kGoto, "second", {}), 9);
  firewall.Add(Rule_("after the goto", Verdict::kDrop, {}), 9);
  firewall.Begin({}, "second");
  firewall.Add(Rule_("inner", Verdict::kDrop, {Port(23)}), 9);
  CHECK(firewall.Of(Key("10.0.0.1", 22)) == "after the jump");
  CHECK(firewall.Of(Key("10.0.0.1", 23)) == "inner");
  CHECK(firewall.Of(Key("10.0.0.1", 24)) == "last");

  // The policy is what drops these, so a chain of another hook must not be named.
  RuleChain other;
  other.base = true;
  other.hook = "prerouting";
  firewall.Begin(std::move(other), "other");
  firewall.Add(Rule_("of the other hook", Verdict::kDrop, {}), 9);
  constexpr std::uint8_t kBoth = HookSet::kPrerouting | HookSet::kInput;
  CHECK_FALSE(firewall.Of(Key("10.0.0.1", 80, kBoth)));
  CHECK_FALSE(firewall.Of(Key("10.0.0.1", 81, kBoth)));
}

TEST_CASE("what is surely dropped meets no later chain of the hook") {
  const auto with_later = [](std::int32_t priority, const char* type) {
    Firewall firewall("input");
    firewall.ruleset.chains[0].type = type;
    firewall.Add(Rule_("early", Verdict::kDrop, {Port(22)}), 9);
    RuleChain later;
    later.base = true;
    later.hook = "input";
    later.priority = priority;
    later.policy = Verdict::kDrop;
    firewall.Begin(std::move(later), "later");
    firewall.Add(Rule_("late", Verdict::kDrop, {Port(23)}), 9);
    return firewall;
  };
  CHECK(with_later(1, "filter").Of(Key("10.0.0.1", 22)) == "early");
  CHECK(with_later(1, "filter").Of(Key("10.0.0.1", 23)) == "late");
  CHECK_FALSE(with_later(0, "filter").Of(Key("10.0.0.1", 22)));  // of one priority, either may stand first
  CHECK_FALSE(with_later(1, "nat").Of(Key("10.0.0.1", 22)));     // which sees first packets alone
}

TEST_CASE("interfaces are known by name, with or without a wildcard, and conditions may be negated") {
  Firewall firewall("input");
  firewall.Add(Rule_("wlan", Verdict::kDrop, {In("wlan*", false)}), 5);
  firewall.Add(Rule_("not lo", Verdict::kDrop, {In("lo", true)}), 5);
  CHECK(firewall.Of(Key("10.0.0.1", 22)) == "not lo");
}

TEST_CASE("rules that changed meanwhile leave it open") {
  Firewall firewall("input");
  firewall.Add(Rule_("drop", Verdict::kDrop, {}), 5);
  CHECK(firewall.Of(Key("10.0.0.1", 22)) == "drop");
  CHECK_FALSE(firewall.Of(Key("10.0.0.1", 22), 5, true));
}

TEST_CASE("a verdict map dropped what one of its elements that drop took") {
  Rule map = Rule_("dport vmap", Verdict::kMap, {});
  map.fully_understood = false;
  map.map_understood = true;
  const auto element = [](Verdict verdict, std::uint32_t port) {
    MappedVerdict mapped;
    mapped.verdict = verdict;
    mapped.key = {Port(port)};
    return mapped;
  };
  map.map = {element(Verdict::kDrop, 22), element(Verdict::kAccept, 80), element(Verdict::kDrop, 23)};
  Firewall firewall("input");
  firewall.Add(map, 12);
  firewall.Add(Rule_("drop", Verdict::kDrop, {}), 12);
  CHECK(firewall.Of(Key("10.0.0.1", 22)) == "dport vmap");
  CHECK_FALSE(firewall.Of(Key("10.0.0.1", 80)));       // it was let in
  CHECK(firewall.Of(Key("10.0.0.1", 443)) == "drop");  // the map has nothing for it
  map.map_understood = false;
  Firewall unknown("input");
  unknown.Add(map, 12);
  CHECK_FALSE(unknown.Of(Key("10.0.0.1", 22)));
}

TEST_CASE("a source that was in a set before and after was in it") {
  const auto holding = [](std::initializer_list<const char*> addresses, bool expires) {
    AddressSet set;
    set.family = RuleFamily::kInet;
    set.table = "t";
    set.name = "bad";
    set.dynamic = true;
    set.expires = expires;
    for (const char* address : addresses)
      set.elements.push_back({{IpAddress::Parse(address).value(), IpAddress::Parse(address).value()}, {}, false});
    return std::make_shared<const std::vector<AddressSet>>(1, set);
  };
  RuleCondition in_set;
  in_set.kind = Kind::kSource;
  in_set.set = "bad";
  for (const bool expires : {false, true}) {
    Firewall firewall("input");
    firewall.Add(Rule_("@bad drop", Verdict::kDrop, {in_set}), 7);
    firewall.before.sets = holding({"10.0.0.1", "10.0.0.2"}, expires);
    firewall.after.sets = holding({"10.0.0.1", "10.0.0.3"}, expires);
    CHECK(firewall.Of(Key("10.0.0.1", 22)) == "@bad drop");
    CHECK_FALSE(firewall.Of(Key("10.0.0.2", 22)));
    CHECK_FALSE(firewall.Of(Key("10.0.0.3", 22)));
    CHECK_FALSE(firewall.Of(Key("10.0.0.4", 22)));  // it may have been in between

    // Where elements leave by themselves, a rule after it may have been the one.
    firewall.Add(Rule_("drop", Verdict::kDrop, {}), 7);
    CHECK(firewall.Of(Key("10.0.0.1", 22)).has_value() == !expires);
  }
}

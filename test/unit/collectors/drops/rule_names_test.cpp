#include "collectors/drops/rule_names.h"

#include "test/support/catch.h"

using namespace conntally;

namespace {

std::string Text(std::size_t i) { return "rule " + std::to_string(i); }

}  // namespace

TEST_CASE("a name is held once, and no rule is none") {
  RuleNames names;
  const RuleName name = names.Of("drop");
  CHECK(names.Of("drop") == name);
  CHECK(names.Of("reject") != name);
  CHECK(names.Text(name) == "drop");
  CHECK(names.Of("") == 0);
  CHECK(names.Text(0).empty());
}

TEST_CASE("names that nothing uses make room, and the others stay") {
  RuleNames names;
  RuleNames::Names in_use;
  for (std::size_t i = 0; i < RuleNames::kMax; ++i) (void)names.Of(Text(i));
  CHECK(names.full());
  in_use = names.Unmarked();
  for (std::size_t i = 0; i < RuleNames::kMax / 2; ++i) in_use[names.Of(Text(i))] = true;
  const RuleNames::Names forgotten = names.MakeRoom(in_use);
  for (std::size_t i = 0; i < RuleNames::kMax; ++i) REQUIRE(names.Knows(Text(i)) == (i < RuleNames::kMax / 2));
  for (std::size_t name = 0; name < in_use.size(); ++name) REQUIRE((name != 0 && !in_use[name]) == forgotten[name]);
  const RuleName added = names.Of("one more");
  CHECK(forgotten[added]);
  CHECK(names.Text(added) == "one more");
}

TEST_CASE("where all names are in use, the eighth that was asked for longest ago makes room") {
  RuleNames names;
  for (std::size_t i = 0; i < RuleNames::kMax; ++i) (void)names.Of(Text(i));
  (void)names.Of(Text(0));
  (void)names.MakeRoom(RuleNames::Names(names.Unmarked().size(), true));
  for (std::size_t i = 0; i < RuleNames::kMax; ++i)
    REQUIRE(names.Knows(Text(i)) == (i == 0 || i > RuleNames::kMax / 8));
}

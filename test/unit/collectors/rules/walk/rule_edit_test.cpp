#include "collectors/rules/walk/rule_edit.h"

#include "test/support/catch.h"
#include "test/unit/collectors/rules/walk/walked.h"

using namespace conntally;
using namespace conntally::test;

TEST_CASE("a rule that is added to an empty chain leaves the others' rules where they are") {
  Firewall firewall = Input(Verdict::kAccept, {Does(Verdict::kAccept, {ToPort(22)}), Does(Verdict::kDrop)});
  firewall.Base("filter", "OUTPUT", "output", 0, Verdict::kDrop, {});
  FirewallReading reading = firewall.Now();
  for (const auto kind : {RuleEdit::Kind::kInsert, RuleEdit::Kind::kAppend}) {
    const std::size_t chain = kind == RuleEdit::Kind::kInsert ? 0 : 1;
    reading = Edited(reading, {kind,
                               {RuleBackend::kNftables, chain},
                               {RuleBackend::kNftables, 0},
                               Does(Verdict::kAccept, {ToPort(80)}).rule});
  }
  const PacketWalker walker(reading);
  CHECK(walker.Arrives(Syn(80), {}).passes == Match::kYes);
  CHECK(walker.Arrives(Syn(22), {}).passes == Match::kYes);
  CHECK(walker.Arrives(Syn(81), {}).passes == Match::kNo);
  Packet own = Syn(80);
  own.destination_is_local = false;
  CHECK(walker.Leaves(own, {}).passes == Match::kYes);
}

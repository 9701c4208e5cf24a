#include "daemon/diagnose/facts/case.h"

#include "test/support/catch.h"
#include "test/unit/collectors/rules/built_rules.h"

using namespace conntally;
using namespace conntally::diagnose;
using namespace conntally::test;

TEST_CASE("the table of an offered rule has a name that no table of the host has") {
  Firewall firewall;
  CHECK(GuardTable(firewall.Now(), "scan_2001:db8::7") == "conntally_scan_2001_db8__7");
  firewall.Base("conntally_scan_192_0_2_7", "in", "input", 0, Verdict::kAccept, {}, RuleFamily::kInet);
  CHECK(GuardTable(firewall.Now(), "scan_192.0.2.7") == "conntally_scan_192_0_2_7_2");
}

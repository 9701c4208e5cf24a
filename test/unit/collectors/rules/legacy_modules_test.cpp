#include <sstream>
#include "test/support/catch.h"

#include "collectors/rules/iptables/legacy_reader.h"

namespace conntally {
namespace {

bool MayHave(const char* modules, RuleFamily family = RuleFamily::kIp) {
  std::istringstream text(modules);
  return MayHaveLegacyTables(text, family);
}

// As /proc/modules has them, addresses hidden.
constexpr const char* kCoreAlone =
    "ip_tables 36864 0 - Live 0x0000000000000000\n"
    "x_tables 61440 1 ip_tables, Live 0x0000000000000000\n"
    "autofs4 53248 2 - Live 0x0000000000000000\n";

}  // namespace

TEST_CASE("a table can only be where its module is: systemd loads ip_tables alone") {
  CHECK_FALSE(MayHave(kCoreAlone));
  CHECK(
      MayHave("iptable_filter 16384 1 - Live 0x0000000000000000\n"
              "ip_tables 36864 1 iptable_filter, Live 0x0000000000000000\n"));
}

TEST_CASE("where ip_tables is no module its tables need not be modules, either") {
  CHECK(MayHave(""));
  CHECK(MayHave("x_tables 61440 0 - Live 0x0000000000000000\n"));
  CHECK(MayHave(kCoreAlone, RuleFamily::kIp6));
}

TEST_CASE("the families' tables are told apart") {
  constexpr const char* kIp6 =
      "ip6table_nat 16384 1 - Live 0x0\nip6_tables 36864 1 ip6table_nat, Live 0x0\nip_tables 36864 0 - Live 0x0\n";
  CHECK(MayHave(kIp6, RuleFamily::kIp6));
  CHECK_FALSE(MayHave(kIp6));
}

}  // namespace conntally

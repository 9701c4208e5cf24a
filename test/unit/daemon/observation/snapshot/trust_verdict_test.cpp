#include "daemon/observation/snapshot/trust_verdict.h"

#include "test/support/catch.h"

namespace conntally {
namespace {

Trust Exact() {
  Trust trust;
  trust.ready = trust.synced = true;
  return trust;
}

bool Says(const std::string& text, const char* what) { return text.find(what) != std::string::npos; }

}  // namespace

TEST_CASE("what could not be read is not said to be read for the first time") {
  CHECK(Says(TrustVerdict({}, {}), "read for the first time"));
  const std::string failing = TrustVerdict({}, {{"conntrack", {false, 0, "no permission"}}});
  CHECK_FALSE(Says(failing, "first time"));
  CHECK(Says(failing, "Not yet: "));
  CHECK(Says(failing, "conntrack fails: no permission"));
}

TEST_CASE("why the tallies are stale is told") {
  CHECK(TrustVerdict(Exact(), {{"conntrack", {true, 0, {}}}}) == "Yes: the tallies are as the kernel's table.");
  Trust stale = Exact();
  stale.synced = false;
  CHECK(Says(TrustVerdict(stale, {}), "events were lost"));
  CHECK(Says(TrustVerdict(stale, {{"conntrack", {false, 0, "gone"}}}), "conntrack fails: gone"));
  stale.events_off = true;
  CHECK(Says(TrustVerdict(stale, {}), "nf_conntrack_events is 0"));
  CHECK_FALSE(Says(TrustVerdict(stale, {}), "events were lost"));
}

TEST_CASE("what is off does not fail, and what has not been tried does not either") {
  const CollectorStatuses collectors = {
      {"ebpf", {false, 0, "no BTF", true}}, {"conntrack", {}}, {"table", {true, 0, {}}}};
  CHECK(FailingCollectors(collectors).empty());
  CHECK(FailingCollectors({{"nftables", {false, 0, "a"}}, {"table", {false, 0, "b"}}}) ==
        "nftables fails: a; table fails: b");
}

}  // namespace conntally

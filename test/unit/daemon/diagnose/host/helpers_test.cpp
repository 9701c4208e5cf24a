#include "daemon/diagnose/host/host_findings.h"
#include "test/support/catch.h"
#include "test/unit/daemon/diagnose/staged.h"

using namespace conntally;
using namespace conntally::diagnose;
using Names = std::vector<std::string>;

TEST_CASE("a helper is missed where rules turn something away, or translate") {
  constexpr std::uint32_t kReplied = 2;
  Staged staged;
  staged.Add("192.0.2.7", 2, TcpState::kEstablished, 431'000, 21, false, kReplied);
  CHECK(staged.Check(CheckHelpers).findings.empty());
  Ruleset rules;
  RuleChain input;
  input.base = true;
  input.hook = "input";
  input.policy = Verdict::kDrop;
  rules.chains.push_back(input);
  auto& read = staged.rules.backends[RuleBackend::kNftables];
  read.present = true;
  read.ruleset = std::make_shared<Ruleset>(rules);
  CHECK(Ids(staged.Check(CheckHelpers)) == Names{"helper-missing"});
  const double unasked = staged.Check(CheckHelpers).findings[0].certainty;
  staged.question.destination_port = std::uint16_t{21};
  CHECK(staged.Check(CheckHelpers).findings[0].certainty > unasked);
  for (Connection& connection : staged.list.connections) connection.has_helper = true;
  CHECK(staged.Check(CheckHelpers).findings.empty());
}

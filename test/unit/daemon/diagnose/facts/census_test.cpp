#include "test/support/catch.h"
#include "test/unit/daemon/diagnose/staged.h"

using namespace conntally;
using namespace conntally::diagnose;

TEST_CASE("a census counts each source apart, whatever order its connections come in") {
  Staged staged;
  staged.Add("192.0.2.7", 3, TcpState::kEstablished, 431'000, 443);
  staged.Add("2001:db8::7", 2, TcpState::kSynSent, 100, 22);
  staged.Add("192.0.2.7", 2, TcpState::kNone, 20, 53);
  const Census census = TakeCensus(staged.list, staged.host.sysctls);
  CHECK(census.connections == 7);
  CHECK(census.tcp == 5);
  CHECK(census.half_open == 2);
  REQUIRE(census.sources.size() == 2);
  CHECK(census.sources[0].source == Address("192.0.2.7"));
  CHECK(census.sources[0].connections == 5);
  CHECK(census.sources[0].destination_ports == 2);
  CHECK(census.sources[0].first_port == 443);
  CHECK(census.sources[0].first_port_connections == 3);
  CHECK(census.Of(Address("2001:db8::7"))->half_open == 2);
  CHECK(census.Of(Address("192.0.2.8")) == nullptr);
  CHECK(census.states.at("tcp established") == 3);
  CHECK(census.states.at("udp unreplied") == 2);
  CHECK(census.ShareOf(1) == Approx(5.0 / 7));
}

TEST_CASE("an empty table has a census, too") {
  const Census census = TakeCensus({}, {});
  CHECK(census.connections == 0);
  CHECK(census.ShareOf(10) == 0);
}

TEST_CASE("idle time is what is gone of the timeout, where that can be told") {
  Staged staged;
  Connection connection;
  connection.key.protocol = 6;
  connection.tcp_state = TcpState::kEstablished;
  connection.timeout_seconds = 431'900;
  CHECK(IdleSeconds(connection, staged.host.sysctls) == 100.0);
  connection.timeout_seconds = 299;  // unacknowledged data
  CHECK_FALSE(IdleSeconds(connection, staged.host.sysctls));
  connection.timeout_seconds = 500'000;  // a timeout policy of its own
  CHECK_FALSE(IdleSeconds(connection, staged.host.sysctls));
  connection.timeout_seconds = 86'400;
  connection.status = 1U << 14;  // IPS_OFFLOAD: the flow table keeps it
  CHECK_FALSE(IdleSeconds(connection, staged.host.sysctls));
  CHECK_FALSE(IdleSeconds(connection, {}));
}

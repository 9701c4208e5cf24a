#include "collectors/conntrack/dumps/connection_list.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>

#include <algorithm>

#include "test/support/catch.h"
#include "test/support/recording.h"

using namespace conntally;
using namespace conntally::test;

namespace {

std::vector<Connection> ConnectionsOf(const std::string& scenario) {
  std::vector<Connection> connections;
  for (const Buffer& message :
       Messages(ReadRecording(std::filesystem::path(CONNTALLY_CONNTRACK_RECORDINGS) / (scenario + ".bin")))) {
    if (const auto connection = DecodeConnection(message)) connections.push_back(*connection);
  }
  REQUIRE_FALSE(connections.empty());
  return connections;
}

}  // namespace

TEST_CASE("a connection tells its helper, if it has one") {
  const auto with = ConnectionsOf("helper");
  CHECK(std::any_of(with.begin(), with.end(), [](const Connection& each) { return each.has_helper; }));
  const auto without = ConnectionsOf("udp_v4");
  CHECK(std::none_of(without.begin(), without.end(), [](const Connection& each) { return each.has_helper; }));
}

TEST_CASE("a connection tells how long it has left, and whether it is translated") {
  const auto translated = ConnectionsOf("nat");
  CHECK(std::any_of(translated.begin(), translated.end(),
                    [](const Connection& each) { return (each.status & IPS_NAT_MASK) != 0; }));
  CHECK(std::any_of(translated.begin(), translated.end(),
                    [](const Connection& each) { return each.timeout_seconds > 0; }));
}

TEST_CASE("what is cut short is no connection, and is not read past its end") {
  for (const Buffer& message :
       Messages(ReadRecording(std::filesystem::path(CONNTALLY_CONNTRACK_RECORDINGS) / "tcp_v4.bin"))) {
    for (std::size_t length = 0; length < message.size(); ++length) {
      const Buffer cut(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(length));
      CHECK_FALSE(DecodeConnection(cut));
    }
  }
}

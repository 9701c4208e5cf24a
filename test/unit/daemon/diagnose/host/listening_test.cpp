#include "daemon/diagnose/host/host_findings.h"
#include "test/support/catch.h"
#include "test/unit/daemon/diagnose/staged.h"

using namespace conntally;
using namespace conntally::diagnose;
using Names = std::vector<std::string>;

namespace {

Staged AskedPort(std::uint16_t port, std::uint8_t protocol = 6) {
  Staged staged;
  staged.question.destination_port = port;
  staged.question.protocol = protocol;
  return staged;
}

ListeningSocket Socket(const char* address, std::uint16_t port, std::uint8_t protocol = 6, bool both = false) {
  ListeningSocket socket;
  socket.protocol = protocol;
  socket.address = Address(address);
  socket.port = port;
  socket.both_families = both;
  socket.queue_max = 128;
  return socket;
}

}  // namespace

TEST_CASE("nobody listens on the port, or only on another, or by another protocol") {
  Staged staged = AskedPort(80);
  CHECK(Ids(staged.Check(CheckListeners)) == Names{"no-listener"});
  staged.host.listeners = std::vector{Socket("0.0.0.0", 81), Socket("0.0.0.0", 80, 17)};
  CHECK(Ids(staged.Check(CheckListeners)) == Names{"no-listener"});
  staged.host.listeners->push_back(Socket("0.0.0.0", 80));
  CHECK(staged.Check(CheckListeners).findings.empty());
}

TEST_CASE("without a port, for another host, or where rules translate, listeners prove nothing") {
  Staged staged;
  CHECK(staged.Check(CheckListeners).findings.empty());
  Staged behind = AskedPort(80);
  behind.host.routes.destination_is_local = false;
  CHECK(behind.Check(CheckListeners).findings.empty());
}

TEST_CASE("a listener on loopback is no listener for others") {
  Staged staged = AskedPort(80);
  staged.host.listeners = std::vector{Socket("127.0.0.1", 80)};
  const Report report = staged.Check(CheckListeners);
  REQUIRE(Ids(report) == Names{"listener-other-address"});
  CHECK(Says(report.findings[0], "127.0.0.1:80"));
  staged.host.routes.source_is_local = true;
  staged.question.source = Address("127.0.0.1");
  CHECK(staged.Check(CheckListeners).findings.empty());
}

TEST_CASE("an IPv6 listener takes IPv4 only when it is for both") {
  Staged staged = AskedPort(80);
  staged.question.source = Address("10.0.0.2");
  staged.host.listeners = std::vector{Socket("::", 80, 6, true)};
  CHECK(staged.Check(CheckListeners).findings.empty());
  staged.host.listeners = std::vector{Socket("::", 80, 6, false)};
  CHECK(Ids(staged.Check(CheckListeners)) == Names{"listener-other-address"});
}

TEST_CASE("a listener on another of the host's addresses") {
  Staged staged = AskedPort(80);
  staged.question.destination = Address("10.0.0.1");
  staged.host.listeners = std::vector{Socket("10.0.1.1", 80)};
  CHECK(Ids(staged.Check(CheckListeners)) == Names{"listener-other-address"});
  staged.host.listeners->push_back(Socket("10.0.0.1", 80));
  CHECK(staged.Check(CheckListeners).findings.empty());
}

TEST_CASE("a queue is full when more wait than it holds") {
  Staged staged = AskedPort(80);
  staged.host.listeners = std::vector{Socket("0.0.0.0", 80)};
  staged.host.listeners->front().queued = 128;
  CHECK(staged.Check(CheckListeners).findings.empty());
  staged.host.listeners->front().queued = 129;
  CHECK(Ids(staged.Check(CheckListeners)) == Names{"listen-queue-full"});
}

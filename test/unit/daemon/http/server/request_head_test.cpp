#include "daemon/http/server/request_head.h"

#include <unistd.h>

#include <memory>
#include <stdexcept>

#include "daemon/http/server/server.h"
#include "test/support/catch.h"
#include "test/unit/daemon/http/server/client.h"

using namespace conntally::http;
using namespace conntally::http::test;

namespace {

std::unique_ptr<Server> StartServer(Options options = {}) {
  options.listen_addresses = {"127.0.0.1:0"};
  auto server = Server::Start(
      options, {{"/small", [](const Request&) { return Response{.body = "small\n"}; }},
                {"/throws", [](const Request&) -> Response { throw std::runtime_error("a fault of ours"); }}});
  if (!server) FAIL(server.error().message);
  return std::move(*server);
}

}  // namespace

TEST_CASE("what RFC 9112 forbids is refused, and the connection closed") {
  const auto server = StartServer();
  const std::string get = "GET /small HTTP/1.1\r\n";
  for (const std::string& request : {
           get + "\r\n",
           get + "Host: localhost\r\nHost: localhost\r\n\r\n",
           get + "Host: localhost\r\nhost: other\r\n\r\n",
           get + "Host : localhost\r\n\r\n",
           get + "Host: localhost\r\nX-A : b\r\n\r\n",
           get + "Host: localhost\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
           get + "Host: localhost\r\nContent-Length: 0\r\ncontent-length: 5\r\n\r\n",
           get + "Host: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
           get + "Host: a b\r\n\r\n",
           get + "Host:\r\n\r\n",
       }) {
    INFO(request);
    Client client(server->port());
    // A second one behind it must not be answered.
    REQUIRE(client.Send(request + get + "Host: localhost\r\n\r\n"));
    const auto reply = client.ReadReply();
    REQUIRE(reply);
    CHECK(reply->status == 400);
    CHECK(client.WaitClosed());
  }
  CHECK(Ask(server->port(), "GET /small HTTP/1.0\r\n\r\n")->status == 200);
}

TEST_CASE("by loopback a foreign host is misdirected") {
  Options options;
  options.allowed_hosts = {"monitoring.example.com"};
  const auto server = StartServer(options);
  const auto status = [&](const std::string& host, const std::string& target = "/small") {
    return Ask(server->port(), "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")->status;
  };
  for (const char* host : {"localhost", "LocalHost:9105", "127.0.0.1", "127.0.0.1:9105", "[::1]:9105",
                           "[fe80::1%25eth0]", "192.0.2.1", "monitoring.example.com:80", "MONITORING.example.com."}) {
    INFO(host);
    CHECK(status(host) == 200);
  }
  for (const char* host :
       {"evil.example", "localhost.evil.example", "example.com:9105", "1.2.3", "127.0.0.1.evil.example"}) {
    INFO(host);
    CHECK(status(host) == 421);
    CHECK(status("localhost", std::string("http://") + host + "/small") == 421);
  }
  char own[256] = {};
  REQUIRE(gethostname(own, sizeof(own) - 1) == 0);
  CHECK(status(own) == 200);
}

TEST_CASE("every answer forbids other sites to use it") {
  const auto server = StartServer();
  for (const char* request :
       {"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /throws HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /small HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "POST /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx",
        "GET /small HTTP/1.1\r\nHost: evil.example\r\n\r\n"}) {
    INFO(request);
    const auto reply = Ask(server->port(), request);
    REQUIRE(reply);
    CHECK(reply->headers.at("x-frame-options") == "DENY");
    CHECK(reply->headers.at("x-content-type-options") == "nosniff");
    CHECK(reply->headers.at("cross-origin-resource-policy") == "same-origin");
    CHECK(reply->headers.at("cache-control") == "no-store");
    CHECK(reply->headers.at("content-security-policy") == "default-src 'none'; frame-ancestors 'none'");
  }
}

TEST_CASE("a host is a name or an address, with or without a port") {
  CHECK(HostOf("localhost") == "localhost");
  CHECK(HostOf("localhost:9105") == "localhost");
  CHECK(HostOf("localhost:") == "localhost");
  CHECK(HostOf("[::1]:9105") == "[::1]");
  for (const char* malformed :
       {"", ":80", "a b", "a:b", "a:80:80", "[::1", "[::1]80", "[localhost]", "a/b", "user@a", "\"a\""}) {
    INFO(malformed);
    CHECK_FALSE(HostOf(malformed));
  }
}

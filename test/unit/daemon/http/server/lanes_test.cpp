// Answers are made on threads of their own, shared, and bounded.
#include <atomic>
#include <memory>
#include <vector>

#include "daemon/http/server/server.h"
#include "test/support/catch.h"
#include "test/unit/daemon/http/server/client.h"

using namespace conntally::http;
using namespace conntally::http::test;

TEST_CASE("a scrape waits for no other answer, nor that for a long list") {
  std::atomic<bool> end{false};
  const auto until_the_end = [&end](const Request&) {
    while (!end) std::this_thread::sleep_for(1ms);
    return Response{};
  };
  const auto ok = [](const Request&) { return Response{}; };
  Options options;
  options.listen_addresses = {"127.0.0.1:0"};
  const auto server = Server::Start(options, {{"/metrics", {ok, Lane::kScrape}},
                                              {"/page", ok},
                                              {"/stuck", until_the_end},
                                              {"/list", {until_the_end, Lane::kLong}},
                                              {"/healthz", {ok, Lane::kAtOnce}}});
  REQUIRE(server);
  const std::uint16_t port = (*server)->port();
  Client list(port);
  Client stuck(port);
  REQUIRE(list.Send("GET /list HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  REQUIRE(Eventually([&] { return (*server)->statistics().requests == 1; }));
  const auto page = Fetch(port, "/page");
  CHECK((page && page->status == 200));
  REQUIRE(stuck.Send("GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  REQUIRE(Eventually([&] { return (*server)->statistics().requests == 3; }));
  const auto scrape = Fetch(port, "/metrics");
  CHECK((scrape && scrape->status == 200));
  const auto health = Fetch(port, "/healthz");
  CHECK((health && health->status == 200));
  end = true;
  const auto late = list.ReadReply();
  CHECK((late && late->status == 200));
}

TEST_CASE("who asks while the same is being rendered shares it, and parameters make no other scrape") {
  std::atomic<unsigned> calls{0}, parameters{0};
  std::atomic<bool> end{false};
  const auto slow = [&](const Request& request) {
    ++calls;
    parameters += static_cast<unsigned>(request.query.size());
    while (!end) std::this_thread::sleep_for(1ms);
    return Response{};
  };
  Options options;
  options.listen_addresses = {"127.0.0.1:0"};
  const auto server = Server::Start(options, {{"/metrics", {slow, Lane::kScrape}}});
  REQUIRE(server);
  std::vector<Client> clients;
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back((*server)->port());
    REQUIRE(clients.back().Send("GET /metrics?x=" + std::to_string(i) + " HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  }
  REQUIRE(Eventually([&] { return (*server)->statistics().requests == 20; }));
  end = true;
  for (Client& client : clients) {
    const auto reply = client.ReadReply();
    CHECK((reply && reply->status == 200));
  }
  CHECK(calls == 1);
  CHECK(parameters == 0);
}

TEST_CASE("who asks while an answer is under way gets one that began after he asked") {
  std::atomic<unsigned> calls{0};
  std::atomic<bool> end{false};
  const auto numbered = [&](const Request&) {
    const unsigned number = ++calls;
    while (number == 1 && !end) std::this_thread::sleep_for(1ms);
    return Response{.body = std::to_string(number)};
  };
  Options options;
  options.listen_addresses = {"127.0.0.1:0"};
  const auto server = Server::Start(options, {{"/metrics", {numbered, Lane::kScrape}}});
  REQUIRE(server);
  Client first((*server)->port()), second((*server)->port());
  REQUIRE(first.Send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  REQUIRE(Eventually([&] { return calls == 1; }));
  REQUIRE(second.Send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  REQUIRE(Eventually([&] { return (*server)->statistics().requests == 2; }));
  end = true;
  const auto of_first = first.ReadReply(), of_second = second.ReadReply();
  REQUIRE((of_first && of_second));
  CHECK(of_first->body == "1");
  CHECK(of_second->body == "2");
}

TEST_CASE("stopping does not wait for those whose answer is still being made") {
  std::atomic<bool> called{false};
  const auto stream = [&called](const Request&) {
    Response response;
    response.body = [&called]() -> std::string {  // without an end
      called = true;
      return std::string(64 * 1024, 'x');
    };
    return response;
  };
  Options options;
  options.listen_addresses = {"127.0.0.1:0"};
  auto server = Server::Start(options, {{"/endless", {stream, Lane::kLong}}});
  REQUIRE(server);
  Client client((*server)->port());
  REQUIRE(client.Send("GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  REQUIRE(Eventually([&] { return called.load(); }));
  const auto start = std::chrono::steady_clock::now();
  server->reset();
  CHECK(std::chrono::steady_clock::now() - start < kHang);
  CHECK(client.WaitClosed());
}

TEST_CASE("a list beyond the memory for all answers is a 503, and ends there") {
  std::atomic<unsigned> pieces{0};
  const auto stream = [&pieces](const Request&) {
    Response response;
    response.body = [&pieces]() -> std::string {
      std::string piece;
      for (unsigned state = ++pieces; piece.size() < 64 * 1024;) {  // packs badly
        state = state * 1664525 + 1013904223;
        piece += static_cast<char>(state >> 24);
      }
      return pieces < 1000 ? piece : "";
    };
    return response;
  };
  Options options;
  options.listen_addresses = {"127.0.0.1:0"};
  options.held_bytes_max = 4'000'000;
  const auto server = Server::Start(options, {{"/list", {stream, Lane::kLong}}});
  REQUIRE(server);
  const auto reply = Fetch((*server)->port(), "/list");
  REQUIRE(reply);
  CHECK(reply->status == 503);
  CHECK(reply->headers.at("retry-after") == "1");
  CHECK(pieces < 100);
}

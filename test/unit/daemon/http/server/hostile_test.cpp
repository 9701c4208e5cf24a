// Clients that are slow, silent, greedy or many, beside a good one.
#include <atomic>
#include <cstdio>
#include <memory>
#include <vector>

#include "daemon/http/server/server.h"
#include "test/support/catch.h"
#include "test/unit/daemon/http/server/client.h"

using namespace conntally::http;
using namespace conntally::http::test;

namespace {

constexpr char kRequestBig[] = "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n";

std::unique_ptr<Server> StartServer(Options options, std::atomic<unsigned>* heavy_calls = nullptr) {
  options.listen_addresses = {"127.0.0.1:0"};
  const auto text = [](std::size_t bytes) {
    return [body = SampleText(bytes)](const Request&) {
      Response response;
      response.body = body;
      return response;
    };
  };
  // What takes its time, as rendering many thousand sources does.
  const auto heavy = [heavy_calls, big = text(100'000)](const Request& request) {
    if (heavy_calls != nullptr) ++*heavy_calls;
    std::this_thread::sleep_for(20ms);
    return big(request);
  };
  auto server = Server::Start(
      options, {{"/metrics", {text(100'000), Lane::kScrape}}, {"/big", text(4'000'000)}, {"/heavy", heavy}});
  if (!server) FAIL(server.error().message);
  return std::move(*server);
}

// Sends a byte of a header that never ends to each of its clients ten times a second.
class Drippers {
 public:
  Drippers(std::uint16_t port, int count) {
    for (int i = 0; i < count; ++i) clients_.emplace_back(port);
    thread_ = std::thread([this] { Run(); });
  }
  ~Drippers() {
    stop_ = true;
    thread_.join();
  }

 private:
  void Run() {
    for (std::size_t i = 0; !stop_; ++i) {
      constexpr std::string_view kStart = "GET /metrics HTTP/1.1\r\nX-Drip: ";
      for (Client& client : clients_) client.Send(i < kStart.size() ? kStart.substr(i, 1) : "x");
      std::this_thread::sleep_for(100ms);
    }
  }

  std::vector<Client> clients_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// Scrapes `count` times on new connections; the slowest one's time, or a failed check.
std::chrono::milliseconds SlowestScrape(std::uint16_t port, int count) {
  std::chrono::steady_clock::duration slowest{};
  for (int i = 0; i < count; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto reply = Fetch(port, "/metrics");
    slowest = std::max(slowest, std::chrono::steady_clock::now() - start);
    REQUIRE(reply);
    REQUIRE(reply->status == 200);
    REQUIRE(reply->body.size() == 100'000);
    std::this_thread::sleep_for(2ms);
  }
  CHECK(slowest < kHang);
  return std::chrono::duration_cast<std::chrono::milliseconds>(slowest);
}

}  // namespace

TEST_CASE("a header that drips is cut at its deadline") {
  Options options;
  options.header_deadline = 1s;
  const auto server = StartServer(options);
  const auto start = std::chrono::steady_clock::now();
  Client client(server->port());
  bool closed = false;
  while (!closed && std::chrono::steady_clock::now() - start < kHang) {
    client.Send("G");
    const auto received = client.Receive(100, 100ms);
    closed = received && received->empty();
  }
  CHECK(closed);
  CHECK(std::chrono::steady_clock::now() - start >= 900ms);
  CHECK(server->statistics().deadlines_missed == 1);
}

TEST_CASE("a request that came in time is answered, however late we look at it") {
  Options options;
  options.header_deadline = 50ms;
  options.listen_addresses = {"127.0.0.1:0"};
  const auto busy = [](const Request&) {
    std::this_thread::sleep_for(300ms);
    return Response{};
  };
  const auto server = Server::Start(options, {{"/busy", {busy, Lane::kAtOnce}}});
  REQUIRE(server);
  Client first(server.value()->port());
  Client second(server.value()->port());
  REQUIRE(first.Send("GET /busy HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  REQUIRE(Eventually([&] { return server.value()->statistics().requests == 1; }));
  // Its connection is known since before the handler began; its request comes while that runs.
  REQUIRE(second.Send("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  const auto reply = second.ReadReply();
  REQUIRE(reply);
  CHECK(reply->status == 404);
}

TEST_CASE("a second request that drips is cut too, while an idle connection stays") {
  Options options;
  options.header_deadline = 500ms;
  const auto server = StartServer(options);
  Client idle(server->port());
  Client dripping(server->port());
  REQUIRE(idle.Get("/metrics"));
  REQUIRE(dripping.Get("/metrics"));
  bool closed = false;
  for (int i = 0; i < 50 && !closed; ++i) {
    dripping.Send("G");
    const auto received = dripping.Receive(100, 100ms);
    closed = received && received->empty();
  }
  CHECK(closed);
  CHECK(idle.Get("/metrics"));
  CHECK(server->statistics().deadlines_missed == 1);
}

TEST_CASE("a response that is not taken is cut at its deadline") {
  Options options;
  options.response_deadline = 500ms;
  const auto server = StartServer(options);
  Client client(server->port(), 4096);
  REQUIRE(client.Send(kRequestBig));
  CHECK(Eventually([&] { return server->statistics().deadlines_missed == 1; }));
  CHECK(Eventually([&] { return server->statistics().connections == 0; }));
  CHECK_FALSE(client.ReadReply());
}

TEST_CASE("hundreds of slow and silent clients do not hold up a scrape") {
  Options options;
  options.header_deadline = 2s;
  options.response_deadline = 2s;
  const auto server = StartServer(options);
  std::vector<Client> clients;
  for (int i = 0; i < 300; ++i) {
    clients.emplace_back(server->port());
    clients.emplace_back(server->port());
    clients.back().Send("GET /metrics HTTP/1.1\r\nHo");
    clients.emplace_back(server->port(), 4096);
    clients.back().Send(kRequestBig);
  }
  const Drippers drippers(server->port(), 300);
  const auto slowest = SlowestScrape(server->port(), 200);
  const auto statistics = server->statistics();
  std::printf("slowest of 200 scrapes beside 1200 bad clients: %lld ms; %llu turned away, %llu deadlines missed\n",
              static_cast<long long>(slowest.count()),
              static_cast<unsigned long long>(statistics.connections_turned_away),
              static_cast<unsigned long long>(statistics.deadlines_missed));
}

TEST_CASE("hundreds who ask for the same at once are served by a few calls") {
  std::atomic<unsigned> calls{0};
  const auto server = StartServer({}, &calls);
  std::vector<Client> clients;
  for (int i = 0; i < 300; ++i) clients.emplace_back(server->port());
  for (Client& client : clients) REQUIRE(client.Send("GET /heavy HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  SlowestScrape(server->port(), 1);
  for (Client& client : clients) {
    const auto reply = client.ReadReply();
    REQUIRE(reply);
    REQUIRE(reply->body.size() == 100'000);
  }
  CHECK(calls < 150);
  // Who comes later, when few are being answered, is answered anew.
  const unsigned before = calls;
  REQUIRE(Fetch(server->port(), "/heavy"));
  CHECK(calls == before + 1);
}

TEST_CASE("hundreds of pipelined requests on each of hundreds of connections end no scrape") {
  Options options;
  options.connections_max = 128;
  const auto server = StartServer(options);
  std::string requests;
  for (int i = 0; i < 300; ++i) requests += "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
  std::vector<Client> clients;
  for (int i = 0; i < 300; ++i) {
    clients.emplace_back(server->port());
    clients.back().Send(requests);
    if (i % 10 == 0) SlowestScrape(server->port(), 1);
  }
  SlowestScrape(server->port(), 20);
}

TEST_CASE("more connections than there is room for leave room for a scrape") {
  Options options;
  options.connections_max = 64;
  const auto server = StartServer(options);
  std::vector<Client> clients;
  for (int i = 0; i < 500; ++i) {
    clients.emplace_back(server->port());
    REQUIRE(clients.back().connected());
    if (i % 2 == 0) clients.back().Send("GET /metrics HTTP/1.1\r\n");
  }
  SlowestScrape(server->port(), 20);
  CHECK(server->statistics().connections_turned_away >= 500 - 64);
  CHECK(server->statistics().connections <= 64);
  // The evicted see the end of their connection.
  CHECK(clients.front().WaitClosed());
}

TEST_CASE("clients that read nothing give way when all room is theirs") {
  Options options;
  options.connections_max = 64;
  const auto server = StartServer(options);
  std::vector<Client> clients;
  for (int i = 0; i < 200; ++i) {
    clients.emplace_back(server->port(), 4096);
    clients.back().Send(kRequestBig);
  }
  SlowestScrape(server->port(), 20);
  // One way or the other: evicted for somebody else, or refused.
  CHECK(Eventually([&] {
    const auto statistics = server->statistics();
    return statistics.connections_turned_away + statistics.responses_turned_away >= 200 - 64;
  }));
}

TEST_CASE("bodies that nobody reads do not take the memory of those that are read") {
  Options options;
  options.held_bytes_max = 4'000'000;  // /big is held packed, in some 0.45 MB
  const auto server = StartServer(options);
  std::vector<Client> clients;
  for (int i = 0; i < 12; ++i) {
    clients.emplace_back(server->port(), 4096);
    // Each another target, so that they do not share a body.
    clients.back().Send("GET /big?" + std::to_string(i) + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  REQUIRE(Eventually([&] { return server->statistics().requests == 12; }));
  std::this_thread::sleep_for(300ms);
  for (int i = 0; i < 5; ++i) CHECK(Fetch(server->port(), "/big")->body.size() == 4'000'000);
  CHECK(server->statistics().connections_turned_away > 0);
}

TEST_CASE("a body for which there is no memory is a 503") {
  Options options;
  options.held_bytes_max = 100'000;
  const auto server = StartServer(options);
  const auto reply = Fetch(server->port(), "/big");
  REQUIRE(reply);
  CHECK(reply->status == 503);
  CHECK(reply->headers.at("content-type") == "application/json");
  CHECK(reply->headers.count("content-encoding") == 0);
  CHECK(server->statistics().responses_turned_away == 1);
  CHECK(Fetch(server->port(), "/metrics")->status == 200);
}

TEST_CASE("what the server can do", "[.measure]") {
  const auto server = StartServer({});
  Client client(server->port());
  const auto start = std::chrono::steady_clock::now();
  int requests = 0;
  while (std::chrono::steady_clock::now() - start < 2s) {
    REQUIRE(client.Get("/metrics"));
    ++requests;
  }
  std::printf("keep-alive, 100 kB bodies: %d requests/s\n", requests / 2);
  requests = 0;
  const auto small = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - small < 2s) {
    REQUIRE(client.Get("/nowhere"));
    ++requests;
  }
  std::printf("keep-alive, small bodies: %d requests/s\n", requests / 2);
  const auto big = std::chrono::steady_clock::now();
  for (int i = 0; i < 50; ++i) REQUIRE(client.Get("/big"));
  std::printf("4 MB: %.1f ms",
              std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - big).count() / 50);
  const auto zipped = std::chrono::steady_clock::now();
  for (int i = 0; i < 50; ++i) REQUIRE(client.Get("/big", "Accept-Encoding: gzip\r\n"));
  std::printf(", gzip'ed %.1f ms\n",
              std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - zipped).count() / 50);
  std::vector<Client> clients;
  for (int i = 0; i < 75; ++i) {
    clients.emplace_back(server->port());
    clients.emplace_back(server->port());
    clients.back().Send("GET /metrics HTTP/1.1\r\nHo");
    clients.emplace_back(server->port(), 4096);
    clients.back().Send(kRequestBig);
  }
  const Drippers drippers(server->port(), 75);
  std::printf("slowest of 1000 scrapes of 100 kB beside 300 bad clients: %lld ms\n",
              static_cast<long long>(SlowestScrape(server->port(), 1000).count()));
}

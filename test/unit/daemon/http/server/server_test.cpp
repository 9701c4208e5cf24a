#include "daemon/http/server/server.h"

#include <sys/resource.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <vector>

#include "test/support/catch.h"
#include "test/unit/daemon/http/server/client.h"

using namespace conntally::http;
using namespace conntally::http::test;

namespace {

Handler Text(std::string body) {
  return [body](const Request&) {
    Response response;
    response.body = body;
    return response;
  };
}

Response EchoQuery(const Request& request) {
  Response response;
  for (const auto& [name, value] : request.query) std::get<std::string>(response.body) += name + "=" + value + ";";
  return response;
}

// `pieces` pieces of 64 kB; `produced` counts those asked for.
Response Pieces(unsigned pieces, std::shared_ptr<std::atomic<unsigned>> produced) {
  Response response;
  response.body = [pieces, produced]() -> std::string {
    if (produced->load() == pieces) return {};
    return std::string(64 * 1024, static_cast<char>('a' + (*produced)++ % 26));
  };
  return response;
}

std::map<std::string, Route> Routes() {
  return {{"/metrics", Text(SampleText(100'000))},
          {"/small", Text("small\n")},
          {"/empty", Text("")},
          {"/big", Text(SampleText(8'000'000))},
          {"/query", &EchoQuery},
          {"/throws", [](const Request&) -> Response { throw std::runtime_error("a fault of ours"); }},
          {"/odd", [](const Request&) -> Response { throw 7; }},
          {"/status", [](const Request&) { return ErrorResponse(0, "no such status"); }},
          {"/refuses", [](const Request&) { return ErrorResponse(400, "limit must be from 1 to 1000000"); }},
          {"/stream", [](const Request&) { return Pieces(160, std::make_shared<std::atomic<unsigned>>(0)); }},
          {"/stream-throws",
           [](const Request&) {
             Response response;
             response.body = [left = 3]() mutable -> std::string {
               if (left-- == 0) throw std::runtime_error("midway");
               return "piece";
             };
             return response;
           }},
          {"/headers", [](const Request&) {
             Response response;
             response.content_type = "text/html; charset=utf-8";
             response.headers = {{"Content-Security-Policy", "default-src 'self'"}, {"X-Two", "1"}, {"X-Two", "2"}};
             return response;
           }}};
}

std::unique_ptr<Server> StartServer(Options options = {}, std::map<std::string, Route> routes = Routes()) {
  if (options.listen_addresses == Options{}.listen_addresses) options.listen_addresses = {"127.0.0.1:0"};
  auto server = Server::Start(options, std::move(routes));
  if (!server) FAIL(server.error().message);
  return std::move(*server);
}

}  // namespace

TEST_CASE("a path is answered by its handler") {
  const auto server = StartServer();
  const auto reply = Fetch(server->port(), "/metrics");
  REQUIRE(reply);
  CHECK(reply->status == 200);
  CHECK(reply->body == SampleText(100'000));
  CHECK(reply->headers.at("content-type") == "text/plain; charset=utf-8");
  CHECK(reply->headers.at("x-content-type-options") == "nosniff");
  CHECK(reply->headers.at("vary") == "Accept-Encoding");
  CHECK(reply->headers.count("content-encoding") == 0);
  CHECK(Fetch(server->port(), "/empty")->headers.at("content-length") == "0");
  CHECK(server->statistics().requests == 2);
}

TEST_CASE("a handler's own headers are sent") {
  const auto server = StartServer();
  const auto reply = Fetch(server->port(), "/headers");
  REQUIRE(reply);
  CHECK(reply->headers.at("content-security-policy") == "default-src 'self'");
  CHECK(reply->headers.at("content-type") == "text/html; charset=utf-8");
}

TEST_CASE("HEAD gives GET's headers and no body") {
  const auto server = StartServer();
  for (const std::string encoding : {"", "Accept-Encoding: gzip\r\n"}) {
    const auto get = Fetch(server->port(), "/metrics", encoding);
    Client client(server->port());
    REQUIRE(client.Send("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n" + encoding + "\r\n"));
    const auto head = client.ReadReply(true);
    REQUIRE((get && head));
    CHECK(head->headers.at("content-length") == get->headers.at("content-length"));
    // Had a body followed, the next reply would begin with it.
    const auto next = client.Get("/small");
    REQUIRE(next);
    CHECK(next->body == "small\n");
  }
  CHECK(Ask(server->port(), "HEAD /stream HTTP/1.1\r\nHost: localhost\r\n\r\n", true)->status == 200);
  CHECK(Ask(server->port(), "HEAD /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", true)->status == 404);
}

TEST_CASE("what is not to be answered gets a JSON error") {
  const auto server = StartServer();
  const std::string host = " HTTP/1.1\r\nHost: localhost\r\n";
  const std::map<std::string, int> expected{
      {"GET /nowhere" + host + "\r\n", 404},
      {"GET /metrics/" + host + "\r\n", 404},
      {"GET /metrics%00x" + host + "\r\n", 400},
      {"GET /%zz" + host + "\r\n", 400},
      {"GET /query?a=%4" + host + "\r\n", 400},
      {"GET /refuses" + host + "\r\n", 400},
      {"DELETE /metrics" + host + "\r\n", 405},
      {"OPTIONS /metrics" + host + "\r\n", 405},
      {"POST /metrics" + host + "Content-Length: 5\r\n\r\nhello", 405},
      {"POST /metrics" + host + "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", 405},
      {"PUT /metrics" + host + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 405},
      {"POST /nowhere" + host + "Content-Length: 5\r\n\r\nhello", 404},
      {"GET /metrics" + host + "Content-Length: 5\r\n\r\nhello", 413},
      {"GET /metrics" + host + "Content-Length: 999999999999\r\n\r\n", 413},
      {"GET /" + std::string(9000, 'a') + host + "\r\n", 414},
      {"GET /throws" + host + "\r\n", 500},
      {"GET /odd" + host + "\r\n", 500},
      {"GET /status" + host + "\r\n", 500},
  };
  for (const auto& [request, status] : expected) {
    INFO(request.substr(0, 100));
    const auto reply = Ask(server->port(), request);
    REQUIRE(reply);
    CHECK(reply->status == status);
    CHECK(reply->headers.at("content-type") == "application/json");
    CHECK(reply->body.substr(0, 10) == "{\"error\":\"");
    CHECK(reply->headers.count("allow") == (status == 405 ? 1 : 0));
  }
  CHECK(server->statistics().handler_failures == 3);
  CHECK(Fetch(server->port(), "/small")->status == 200);
}

TEST_CASE("a header too long is refused, one within the bound is not") {
  const auto server = StartServer();
  CHECK(Fetch(server->port(), "/small", "X-Long: " + std::string(15'000, 'x') + "\r\n")->status == 200);
  CHECK(Fetch(server->port(), "/small", "X-Long: " + std::string(17'000, 'x') + "\r\n")->status == 431);
  const auto far_too_long = Fetch(server->port(), "/small", "X-Long: " + std::string(100'000, 'x') + "\r\n");
  if (far_too_long) CHECK(far_too_long->status == 431);  // or cut before all of it was sent
  CHECK(Fetch(server->port(), "/small")->status == 200);
}

TEST_CASE("rubbish is answered 400 or cut, and harms nobody") {
  const auto server = StartServer();
  for (const std::string& rubbish : {std::string("\0\0\0\0\r\n\r\n", 8), std::string("GET\r\n\r\n"),
                                     std::string("\x16\x03\x01\x02\r\n\r\n"), std::string("GET / HTTP/9.9\r\n\r\n"),
                                     std::string("GET /small HTTP/1.1\r\nHost\r\n\r\n"), std::string(200, '\n')}) {
    Client client(server->port());
    client.Send(rubbish);
    client.Receive(1000, 100ms);
  }
  CHECK(Fetch(server->port(), "/small")->status == 200);
}

TEST_CASE("a query arrives decoded") {
  const auto server = StartServer();
  CHECK(Fetch(server->port(), "/query?source=2001%3Adb8%3A%3A%2F64&limit=5&limit=6&x=a+b%2B")->body ==
        "limit=5;limit=6;source=2001:db8::/64;x=a b+;");
}

TEST_CASE("a long body is gzip'ed for who allows it") {
  const auto server = StartServer();
  const auto zipped = Fetch(server->port(), "/big", "Accept-Encoding: deflate, gzip;q=0.5\r\n");
  REQUIRE(zipped);
  CHECK(zipped->headers.at("content-encoding") == "gzip");
  CHECK(zipped->headers.at("vary") == "Accept-Encoding");
  CHECK(zipped->body.size() < 4'000'000);
  CHECK(Gunzipped(zipped->body) == SampleText(8'000'000));
  const auto plain = Fetch(server->port(), "/big", "Accept-Encoding: gzip;q=0\r\n");
  REQUIRE(plain);
  CHECK(plain->headers.count("content-encoding") == 0);
  CHECK(plain->body == SampleText(8'000'000));
  CHECK(Fetch(server->port(), "/small", "Accept-Encoding: gzip\r\n")->headers.count("content-encoding") == 0);
}

TEST_CASE("a connection serves many requests, also when they come at once") {
  const auto server = StartServer();
  Client client(server->port());
  for (int i = 0; i < 10; ++i) CHECK(client.Get("/metrics")->body.size() == 100'000);
  std::string pipelined;
  for (int i = 0; i < 10; ++i)
    pipelined += "GET /query?i=" + std::to_string(i) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  REQUIRE(client.Send(pipelined));
  for (int i = 0; i < 10; ++i) CHECK(client.ReadReply()->body == "i=" + std::to_string(i) + ";");
  CHECK(server->statistics().connections == 1);
}

TEST_CASE("HTTP/1.0 gets its answer and the end of the connection") {
  const auto server = StartServer();
  for (const std::string path : {"/metrics", "/stream"}) {
    Client client(server->port());
    REQUIRE(client.Send("GET " + path + " HTTP/1.0\r\n\r\n"));
    const auto reply = client.ReadReply();
    REQUIRE(reply);
    CHECK(reply->body.size() == (path == "/metrics" ? 100'000 : 160 * 64 * 1024));
    CHECK(client.WaitClosed());
  }
}

TEST_CASE("a stream of many megabytes arrives whole, packed for who allows it") {
  const auto server = StartServer();
  std::string expected;
  for (unsigned i = 0; i < 160; ++i) expected += std::string(64 * 1024, static_cast<char>('a' + i % 26));
  const auto packed = Fetch(server->port(), "/stream", "Accept-Encoding: gzip\r\n");
  REQUIRE(packed);
  CHECK(packed->headers.at("content-encoding") == "gzip");
  CHECK(packed->body.size() < 1'000'000);
  CHECK((Gunzipped(packed->body) == expected));
  const auto plain = Fetch(server->port(), "/stream");
  REQUIRE(plain);
  CHECK(plain->headers.count("content-encoding") == 0);
  CHECK(plain->headers.at("vary") == "Accept-Encoding");
  CHECK((plain->body == expected));
}

TEST_CASE("a stream that throws is answered as a fault of ours") {
  const auto server = StartServer();
  CHECK(Fetch(server->port(), "/stream-throws")->status == 500);
  CHECK(server->statistics().handler_failures == 1);
  CHECK(Fetch(server->port(), "/small")->status == 200);
}

TEST_CASE("a slow reader gets the whole of a big body") {
  const auto server = StartServer();
  Client client(server->port(), 64 * 1024);
  REQUIRE(client.Send("GET /big HTTP/1.0\r\n\r\n"));
  std::string all;
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(10ms);
    all += client.Receive(50'000).value_or("");
  }
  std::optional<std::string> more;
  while ((more = client.Receive(1'000'000)) && !more->empty()) all += *more;
  CHECK((all.substr(all.find("\r\n\r\n") + 4) == SampleText(8'000'000)));
}

TEST_CASE("stopping does not wait for the clients") {
  auto server = StartServer();
  std::vector<Client> clients;
  for (int i = 0; i < 60; ++i) {
    clients.emplace_back(server->port(), 16 * 1024);
    if (i % 3 == 1) clients.back().Send("GET /met");
    if (i % 3 == 2) clients.back().Send("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  REQUIRE(Eventually([&] { return server->statistics().connections == 60; }));
  const auto start = std::chrono::steady_clock::now();
  server.reset();
  CHECK(std::chrono::steady_clock::now() - start < kHang);
  for (Client& client : clients) CHECK(client.WaitClosed());
}

TEST_CASE("a port in use is an error that names it, and free again once the server has gone") {
  auto first = StartServer();
  Client left_open(first->port());
  REQUIRE(left_open.Get("/small"));
  const std::string taken = "127.0.0.1:" + std::to_string(first->port());
  const Options options{.listen_addresses = {taken}};
  {
    const auto second = Server::Start(options, {});
    REQUIRE_FALSE(second);
    CHECK(second.error().message.starts_with("cannot listen on " + taken + ": Address already in use"));
    CHECK(second.error().code == EADDRINUSE);
  }
  first.reset();
  const auto again = StartServer(options);
  CHECK(Fetch(again->port(), "/small")->status == 200);
}

TEST_CASE("it listens where it is told") {
  for (const char* address : {"localhost:0", ":0", "[::]:0", "0.0.0.0:0"}) {
    INFO(address);
    Options options;
    options.listen_addresses = {address};
    auto server = Server::Start(options, Routes());
    // A machine without IPv6 cannot tell us about [::].
    if (!server && server.error().code == EAFNOSUPPORT) continue;
    REQUIRE(server);
    CHECK(Fetch((*server)->port(), "/small")->status == 200);
  }
  for (const char* address : {"nonsense", "192.0.2.1:0", "no-such-host.invalid:0"}) {
    Options options;
    options.listen_addresses = {address};
    const auto server = Server::Start(options, {});
    REQUIRE_FALSE(server);
    CHECK(server.error().message.find(address) != std::string::npos);
  }
}

TEST_CASE("the open files allowed are raised to what the connections need") {
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit low{std::min<rlim_t>(600, before.rlim_max), before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
  const auto server = StartServer();
  rlimit after{};
  getrlimit(RLIMIT_NOFILE, &after);
  if (before.rlim_max >= 1280) CHECK(after.rlim_cur == 1280);
  setrlimit(RLIMIT_NOFILE, &before);
}

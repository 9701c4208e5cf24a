#include "daemon/http/server/connections.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "collectors/system/file_descriptor.h"
#include "test/support/catch.h"

using namespace conntally::http;
using namespace std::chrono_literals;

using conntally::FileDescriptor;

namespace {

// Both ends of a connection; time is what the test says.
struct Pair {
  Pair() {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    server = FileDescriptor(ends[0]);
    client = FileDescriptor(ends[1]);
  }
  bool shut() const {
    pollfd wait{client.get(), POLLIN, 0};
    return poll(&wait, 1, 0) == 1;
  }
  FileDescriptor server, client;
};

struct Fixture {
  Counters counters;
  std::atomic<std::size_t> held_bytes{0};
  Connections connections{{.connections_soft = 2,
                           .lane_max = {9, 9, 9, 1},
                           .header_deadline = 10s,
                           .response_deadline = 30s,
                           .progress_deadline = 5s,
                           .idle_deadline = 120s,
                           .held_bytes_max = 1000},
                          held_bytes,
                          counters};
  Clock::time_point start = Clock::time_point{} + 1h;
  Pair a, b, c;

  void Hold(Connection& connection, std::size_t bytes) {
    connection.body =
        std::make_shared<ReplyBody>(std::make_shared<const HeldText>(std::string(bytes, 'x'), held_bytes));
  }
};

}  // namespace

TEST_CASE("a header deadline counts from accept") {
  Fixture f;
  f.connections.Add(f.a.server.get(), f.start);
  f.connections.EnforceDeadlines(f.start + 9999ms);
  CHECK_FALSE(f.a.shut());
  f.connections.EnforceDeadlines(f.start + 10s);
  CHECK(f.a.shut());
  CHECK(f.counters.deadlines_missed == 1);
  f.connections.EnforceDeadlines(f.start + 20s);
  CHECK(f.counters.deadlines_missed == 1);
}

TEST_CASE("a response deadline counts from the request, however the client progresses") {
  Fixture f;
  Connection& connection = f.connections.Add(f.a.server.get(), f.start);
  f.connections.StartAnswer(connection, f.start + 5s);
  f.connections.NoteProgress(connection, f.start + 34s);
  f.connections.EnforceDeadlines(f.start + 34999ms);
  CHECK_FALSE(f.a.shut());
  f.connections.EnforceDeadlines(f.start + 35s);
  CHECK(f.a.shut());
}

TEST_CASE("a kept-alive connection may idle past the header deadline, and owes nothing") {
  Fixture f;
  Connection& connection = f.connections.Add(f.a.server.get(), f.start);
  f.connections.StartAnswer(connection, f.start);
  f.connections.FinishAnswer(connection, f.start);
  f.connections.EnforceDeadlines(f.start + 119s);
  CHECK_FALSE(f.a.shut());
  f.connections.EnforceDeadlines(f.start + 120s);
  CHECK(f.a.shut());
  CHECK(f.counters.deadlines_missed == 0);
}

TEST_CASE("for a new connection an idle one goes before an older one still asking") {
  Fixture f;
  f.connections.Add(f.a.server.get(), f.start);
  Connection& idle = f.connections.Add(f.b.server.get(), f.start + 1s);
  f.connections.StartAnswer(idle, f.start + 1s);
  f.connections.FinishAnswer(idle, f.start + 1s);
  f.connections.Add(f.c.server.get(), f.start + 2s);
  CHECK(f.b.shut());
  CHECK_FALSE(f.a.shut());
  CHECK_FALSE(f.c.shut());
  CHECK(f.counters.connections_turned_away == 1);
}

TEST_CASE("for a new connection the oldest still asking goes, never the new one") {
  Fixture f;
  f.connections.Add(f.a.server.get(), f.start);
  f.connections.Add(f.b.server.get(), f.start + 1s);
  f.connections.Add(f.c.server.get(), f.start + 2s);
  CHECK(f.a.shut());
  CHECK_FALSE(f.b.shut());
  CHECK_FALSE(f.c.shut());
}

TEST_CASE("where all others are answered, who takes nothing goes and who reads stays") {
  Fixture f;
  Connection& reading = f.connections.Add(f.a.server.get(), f.start);
  Connection& stalled = f.connections.Add(f.b.server.get(), f.start);
  f.connections.StartAnswer(reading, f.start);
  f.connections.StartAnswer(stalled, f.start + 1s);
  f.connections.NoteProgress(reading, f.start + 5s);
  f.connections.Add(f.c.server.get(), f.start + 5s);
  CHECK(f.b.shut());
  CHECK_FALSE(f.a.shut());
  CHECK_FALSE(f.c.shut());
}

TEST_CASE("bodies not taken give way to a new one, and their memory is free at once") {
  Fixture f;
  Connection& stalled = f.connections.Add(f.a.server.get(), f.start);
  f.connections.StartAnswer(stalled, f.start);
  f.Hold(stalled, 800);
  CHECK(f.connections.MakeRoomForBody(f.start));
  Connection& asking = f.connections.Add(f.b.server.get(), f.start);
  f.connections.StartAnswer(asking, f.start + 1s);
  f.Hold(asking, 700);
  CHECK(f.connections.MakeRoomForBody(f.start + 1s));
  CHECK(f.a.shut());
  CHECK_FALSE(f.b.shut());
  CHECK(f.held_bytes == 700);
  char byte;
  CHECK_FALSE(stalled.body->Read({&byte, 1}).has_value());
}

TEST_CASE("bodies being read keep their memory, and a new one is turned away") {
  Fixture f;
  Connection& reading = f.connections.Add(f.a.server.get(), f.start);
  f.connections.StartAnswer(reading, f.start);
  f.Hold(reading, 800);
  f.connections.NoteProgress(reading, f.start + 900ms);
  Connection& asking = f.connections.Add(f.b.server.get(), f.start + 1s);
  f.connections.StartAnswer(asking, f.start + 1s);
  f.Hold(asking, 700);
  CHECK_FALSE(f.connections.MakeRoomForBody(f.start + 1s));
  CHECK_FALSE(f.a.shut());
}

TEST_CASE("all memory held is given back") {
  Fixture f;
  Connection& connection = f.connections.Add(f.a.server.get(), f.start);
  f.connections.StartAnswer(connection, f.start);
  f.Hold(connection, 700);
  f.connections.FinishAnswer(connection, f.start);
  CHECK(f.held_bytes == 0);
  f.connections.Remove(connection);
  CHECK(f.connections.size() == 0);
  CHECK(f.counters.connections == 0);
}

TEST_CASE("a client is not slow before it has had a turn") {
  Fixture f;
  Connection& reading = f.connections.Add(f.a.server.get(), f.start);
  f.connections.StartAnswer(reading, f.start);
  f.connections.NoteRound(400ms);
  CHECK_FALSE(f.connections.EvictOne(f.start + 1599ms));
  CHECK(f.connections.EvictOne(f.start + 1600ms));
  CHECK(f.a.shut());
}

TEST_CASE("who takes nothing more of a response is cut long before its deadline") {
  Fixture f;
  Connection& stalled = f.connections.Add(f.a.server.get(), f.start);
  Connection& reading = f.connections.Add(f.b.server.get(), f.start);
  f.connections.StartAnswer(stalled, f.start);
  f.connections.StartAnswer(reading, f.start);
  f.connections.NoteProgress(reading, f.start + 4s);
  f.connections.EnforceDeadlines(f.start + 4999ms);
  CHECK_FALSE(f.a.shut());
  f.connections.EnforceDeadlines(f.start + 5s);
  CHECK(f.a.shut());
  CHECK_FALSE(f.b.shut());
  CHECK(f.counters.deadlines_missed == 1);
}

TEST_CASE("a client that has only just come is not evicted before it can ask") {
  Fixture f;
  for (const Pair* pair : {&f.a, &f.b, &f.c}) f.connections.Add(pair->server.get(), f.start);
  for (const Pair* pair : {&f.a, &f.b, &f.c}) CHECK_FALSE(pair->shut());
  f.connections.EnforceDeadlines(f.start + Connections::kPatience);
  CHECK(f.a.shut());
  CHECK_FALSE(f.b.shut());
}

TEST_CASE("who waits for his answer is never evicted") {
  Fixture f;
  for (const Pair* pair : {&f.a, &f.b, &f.c})
    f.connections.StartWait(f.connections.Add(pair->server.get(), f.start), f.start);
  CHECK_FALSE(f.connections.EvictOne(f.start + 1h));
}

TEST_CASE("where room is short, nobody reads for long, however he progresses") {
  Fixture f;
  Connection& reading = f.connections.Add(f.a.server.get(), f.start);
  f.connections.StartAnswer(reading, f.start);
  f.connections.NoteProgress(reading, f.start + 1990ms);
  CHECK_FALSE(f.connections.EvictOne(f.start + 1999ms));
  CHECK(f.connections.EvictOne(f.start + 2s));
}

TEST_CASE("a lane answers so many at a time, and a slow reader of its own gives way") {
  Fixture f;
  Connection& first = f.connections.Add(f.a.server.get(), f.start);
  Connection& second = f.connections.Add(f.b.server.get(), f.start);
  CHECK(f.connections.Admit(first, Lane::kLong, f.start));
  CHECK_FALSE(f.connections.Admit(second, Lane::kLong, f.start + 10s));  // the first one waits still
  f.connections.StartAnswer(first, f.start + 10s);
  CHECK_FALSE(f.connections.Admit(second, Lane::kLong, f.start + 10s));
  CHECK(f.connections.Admit(second, Lane::kShort, f.start + 10s));
  f.connections.FinishAnswer(second, f.start + 10s);
  CHECK(f.connections.Admit(second, Lane::kLong, f.start + 11s));
  CHECK(f.a.shut());
  CHECK(f.connections.admitted(Lane::kLong) == 1);
  CHECK(f.connections.admitted(Lane::kShort) == 0);
}

TEST_CASE("room taken by those not yet seen to stall is won back once they are") {
  Fixture f;
  for (const Pair* pair : {&f.a, &f.b, &f.c}) {
    f.connections.StartAnswer(f.connections.Add(pair->server.get(), f.start), f.start);
  }
  f.connections.EnforceDeadlines(f.start + 249ms);
  CHECK_FALSE(f.a.shut());
  f.connections.EnforceDeadlines(f.start + 250ms);
  CHECK(f.a.shut());
  CHECK_FALSE(f.b.shut());
  CHECK_FALSE(f.c.shut());
}

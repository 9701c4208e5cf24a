#include "collectors/conntrack/surveys/answer_survey.h"

#include <algorithm>

#include "test/support/catch.h"

using namespace conntally;

namespace {

constexpr std::uint8_t kTcp = 6, kUdp = 17;

struct Surveyed {
  // A connection that opened `age` seconds ago.
  void Add(const char* source, SourceRow row, const char* destination, std::uint16_t port, TcpState state, double age,
           std::uint8_t protocol = kTcp, bool replied = false) {
    FlowKey key;
    key.source = IpAddress::Parse(source)->bytes;
    key.destination = IpAddress::Parse(destination)->bytes;
    key.source_port = ++source_port_;
    key.destination_port = port;
    key.protocol = protocol;
    Flow* flow = table.Insert(key, table.Hash(key));
    REQUIRE(flow != nullptr);
    flow->source = row;
    flow->protocol = protocol;
    flow->tcp_state = static_cast<std::uint8_t>(state) & 0xf;
    flow->replied = replied;
    flow->opening_known = true;
    flow->opened_centiseconds = now.centiseconds - static_cast<std::int32_t>(age * 100);
  }
  const AnswerFigures& Survey() {
    clock += std::chrono::hours(1);
    while (survey.Step(table, now, clock)) {
    }
    last = survey.last();
    return *last;
  }
  const AnswerFigures::Candidate* Candidate(const char* source) {
    const auto found = std::find_if(last->candidates.begin(), last->candidates.end(), [&](const auto& candidate) {
      return candidate.source == *IpAddress::Parse(source);
    });
    return found == last->candidates.end() ? nullptr : &*found;
  }

  KeyedHash hash = KeyedHash::WithRandomSecret();
  FlowTable table{100'000, hash};
  AnswerSurvey survey{{}, hash};
  TrackerTime now{100'000, 0};
  AnswerSurvey::Clock::time_point clock{};
  SourceRow next_row = 0;
  std::shared_ptr<const AnswerFigures> last;

 private:
  std::uint16_t source_port_ = 0;
};

}  // namespace

TEST_CASE("attempts are counted by source and service, answered or not, once they could be answered") {
  Surveyed s;
  for (int i = 0; i < 10; ++i) s.Add("10.0.0.1", 1, "192.0.2.1", 443, TcpState::kSynSent, 5);
  for (int i = 0; i < 6; ++i) s.Add("10.0.0.2", 2, "192.0.2.1", 443, TcpState::kEstablished, 10);
  s.Add("10.0.0.1", 1, "192.0.2.1", 443, TcpState::kSynSent, 1);   // may yet be answered
  s.Add("10.0.0.1", 1, "192.0.2.1", 443, TcpState::kSynSent, 50);  // old
  for (int i = 0; i < 4; ++i) s.Add("10.0.0.3", 3, "192.0.2.53", 53, TcpState::kNone, 5, kUdp, i == 0);
  const AnswerFigures& figures = s.Survey();
  CHECK(figures.attempts == 16);
  CHECK(figures.unanswered == 10);
  REQUIRE(figures.rows.size() >= 3);
  CHECK(figures.rows[1].unanswered == 10);
  CHECK(figures.rows[1].half_open == 10);  // a new one is not known to be, an old one is no news
  CHECK(figures.rows[2].attempts == 6);
  CHECK(figures.rows[2].unanswered == 0);
  REQUIRE(figures.services.size() == 2);
  CHECK(figures.services[0].attempts == 16);
  CHECK(figures.services[0].unanswered == 10);
  CHECK(figures.services[0].sources == 2);
  CHECK(figures.services[1].protocol == kUdp);
  CHECK(figures.services[1].unanswered == 3);
}

TEST_CASE("half-open connections of sources without a row are counted, too") {
  Surveyed s;
  for (int i = 0; i < 30; ++i) s.Add("10.0.0.1", kNoSourceRow, "192.0.2.1", 443, TcpState::kSynRecv, 5);
  CHECK(s.Survey().half_open_without_row == 30);
}

TEST_CASE("first contacts of a scanner fail once for each destination and port, and are forgotten") {
  Surveyed s;
  for (std::uint16_t port = 1; port <= 300; ++port) {
    s.Add("198.51.100.9", 1, "192.0.2.1", port, port % 2 == 0 ? TcpState::kSynSent : TcpState::kClose, 5);
    s.Add("198.51.100.9", 1, "192.0.2.1", port, TcpState::kSynSent, 4);
  }
  for (int i = 0; i < 500; ++i) s.Add("10.0.0.2", 2, "192.0.2.1", 443, TcpState::kTimeWait, 10);
  s.Survey();
  s.Survey();
  REQUIRE(s.Candidate("198.51.100.9") != nullptr);
  CHECK(s.Candidate("198.51.100.9")->failed == 300);
  CHECK(s.Candidate("198.51.100.9")->ports == Approx(300).epsilon(0.1));
  CHECK(s.Candidate("198.51.100.9")->destinations == 1);
  CHECK(s.Candidate("10.0.0.2") == nullptr);
  CHECK(s.Candidate("198.51.100.9")->recent == 300);
  s.now.centiseconds += 3'500;  // longer than an alert waits: a scan of a second is told
  s.Survey();
  CHECK(s.Candidate("198.51.100.9")->recent == 300);
  s.now.centiseconds += 1'500;
  s.Survey();
  CHECK(s.Candidate("198.51.100.9")->failed == 300);
  CHECK(s.Candidate("198.51.100.9")->recent == 0);
  s.now.centiseconds += 9'000;
  s.Survey();
  CHECK((s.Candidate("198.51.100.9") == nullptr || s.Candidate("198.51.100.9")->failed == 0));
}

TEST_CASE("connections that an RST refused are first contacts though the table never shows them") {
  Surveyed s;
  const auto refuse = [&](const char* source, std::uint16_t port) {
    FlowKey key;
    key.source = IpAddress::Parse(source)->bytes;
    key.destination = IpAddress::Parse("192.0.2.1")->bytes;
    key.destination_port = port;
    key.protocol = kTcp;
    s.survey.NoteRefused({key, s.now.centiseconds - 2, 1}, s.now);
  };
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 10; ++i) refuse("198.51.100.9", static_cast<std::uint16_t>(100 * round + i));
    for (int i = 0; i < 30; ++i) refuse("10.0.0.2", 5432);
    s.Survey();
    s.now.centiseconds += 500;
  }
  for (std::uint16_t port = 1000; port < 1200; ++port) refuse("198.51.100.9", port);
  s.Survey();
  REQUIRE(s.Candidate("198.51.100.9") != nullptr);
  CHECK(s.Candidate("198.51.100.9")->failed == 200);
  CHECK(s.Candidate("10.0.0.2")->failed <= 1);
  s.now.centiseconds += 12'000;
  s.Survey();
  CHECK(s.Candidate("198.51.100.9")->failed == 0);
}

TEST_CASE("what an RST closed after an answer has succeeded") {
  Surveyed s;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 60; ++i)
      s.Add("10.0.0.1", 1, "192.0.2.1", static_cast<std::uint16_t>(1000 + i), TcpState::kClose, 5, kTcp, true);
    for (int i = 0; i < 60; ++i)
      s.Add("10.0.0.1", 1, "192.0.2.1", static_cast<std::uint16_t>(2000 + i), TcpState::kSynSent, 5);
    s.Survey();
  }
  REQUIRE(s.Candidate("10.0.0.1") != nullptr);
  CHECK(s.Candidate("10.0.0.1")->succeeded == 60);
  CHECK(s.Candidate("10.0.0.1")->failed == 60);
}

TEST_CASE("a scan for one port is counted by itself, beside what its source does at others") {
  Surveyed s;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 60; ++i) {
      const std::string destination = "198.51.100." + std::to_string(i + 1);
      s.Add("10.0.0.1", 1, destination.c_str(), 443, TcpState::kEstablished, 5, kTcp, true);
      s.Add("10.0.0.1", 1, destination.c_str(), 22, i < 3 ? TcpState::kEstablished : TcpState::kSynSent, 5, kTcp,
            i < 3);
    }
    s.Survey();
  }
  REQUIRE(s.Candidate("10.0.0.1") != nullptr);
  CHECK(s.Candidate("10.0.0.1")->port == 22);
  CHECK(s.Candidate("10.0.0.1")->failed_at_port == 57);
  CHECK(s.Candidate("10.0.0.1")->succeeded_at_port == 3);
}

TEST_CASE("of each source and service the latest attempts are known by themselves") {
  Surveyed s;
  for (int i = 0; i < 4; ++i) s.Add("10.0.0.1", 1, "192.0.2.1", 443, TcpState::kSynSent, 12);
  s.Add("10.0.0.1", 1, "192.0.2.1", 443, TcpState::kEstablished, 4, kTcp, true);
  const AnswerFigures& figures = s.Survey();
  REQUIRE(figures.rows.size() > 1);
  CHECK(figures.rows[1].answered_age == 40);
  CHECK(figures.rows[1].unanswered_age == 120);
  REQUIRE(figures.services.size() == 1);
  CHECK(figures.services[0].attempts == 5);
  CHECK(figures.services[0].recent == 1);
  CHECK(figures.services[0].recent_unanswered == 0);
}

TEST_CASE("one-way UDP to one service is no scan, UDP to many ports of one destination is") {
  Surveyed s;
  for (int i = 0; i < 400; ++i) s.Add("10.0.0.7", 1, "192.0.2.1", 8125, TcpState::kNone, 5, kUdp);
  for (int i = 1; i < 200; ++i)
    s.Add("10.0.0.8", 2, ("192.0.2." + std::to_string(i)).c_str(), 6881, TcpState::kNone, 5, kUdp);
  for (std::uint16_t port = 1; port <= 200; ++port)
    s.Add("198.51.100.9", 3, "192.0.2.1", port, TcpState::kNone, 5, kUdp);
  s.Survey();
  s.Survey();
  CHECK(s.Candidate("10.0.0.7")->failed == 0);
  CHECK(s.Candidate("10.0.0.8")->failed == 0);
  CHECK(s.Candidate("198.51.100.9")->failed == 200);
}

TEST_CASE("ports that are sent a stream, and those of traceroute, are no scan") {
  Surveyed s;
  std::uint16_t first = 1000;
  std::uint32_t failed = 0;
  SECTION("a traceroute's") { first = 33'434; }
  SECTION("recorded calls, which the kernel's table held for longer than a single packet") {
    s.survey.NoteCompared(s.now.centiseconds - 500, 30);
  }
  SECTION("single packets, which were not yet timed out in it") {
    s.survey.NoteCompared(s.now.centiseconds - 500, 60);
    failed = 100;
  }
  SECTION("single packets, which came after it was read") {
    s.survey.NoteCompared(s.now.centiseconds - 5000, 30);
    failed = 100;
  }
  for (std::uint16_t port = first; port < first + 100; ++port)
    s.Add("10.0.0.9", 1, "192.0.2.7", port, TcpState::kNone, port % 4 == 0 ? 45 : 12, kUdp);
  for (int i = 0; i < 2; ++i) s.Survey();
  CHECK(s.Candidate("10.0.0.9")->failed == failed);
  CHECK(s.Candidate("10.0.0.9")->succeeded == 0);  // nothing answered
}

TEST_CASE("a service that is asked much keeps its place, whatever a flood of others asks for") {
  Surveyed s;
  for (int i = 0; i < 50; ++i) s.Add("10.0.0.2", 2, "192.0.2.1", 443, TcpState::kEstablished, 10);
  s.Survey();
  for (int i = 0; i < 6000; ++i) {
    const std::string destination = "203.0." + std::to_string(i / 250) + "." + std::to_string(i % 250);
    s.Add("10.0.0.3", 3, destination.c_str(), 80, TcpState::kSynSent, 5);
  }
  const AnswerFigures& figures = s.Survey();
  CHECK(figures.services.size() <= AnswerSurvey::kServicesKept);
  REQUIRE(!figures.services.empty());
  CHECK(figures.services[0].port == 443);
}

TEST_CASE("what a known service refuses at once is counted over ten seconds, as for twenty") {
  Surveyed s;
  FlowKey key;
  key.destination = IpAddress::Parse("192.0.2.1")->bytes;
  key.destination_port = 443;
  key.protocol = kTcp;
  const auto refuse = [&](int age) { s.survey.NoteRefused({key, s.now.centiseconds - age, s.next_row++}, s.now); };
  s.Survey();
  s.now.centiseconds += 3100;
  refuse(2);
  CHECK(s.Survey().services.empty());  // nobody knows it so far
  s.Add("10.0.0.1", 1, "192.0.2.1", 443, TcpState::kTimeWait, 10);
  s.Survey();
  for (int second = 0; second < 15; ++second) {
    for (int i = 0; i < 8; ++i) refuse(2);
    refuse(400);  // it was not refused, it was forgotten
    s.now.centiseconds += 100;
    s.Survey();
  }
  REQUIRE(s.last->services.size() == 1);
  CHECK(s.last->services[0].refused == Approx(8 * 20).epsilon(0.15));
  CHECK(s.last->services[0].sources > 30);
  for (int second = 0; second < 11; ++second) {
    s.now.centiseconds += 100;
    s.Survey();
  }
  CHECK(s.last->services.empty());
}

TEST_CASE("a service stays known for ten minutes without attempts, and any that refuses at the start is known") {
  Surveyed s;
  FlowKey key;
  key.destination = IpAddress::Parse("192.0.2.1")->bytes;
  key.destination_port = 443;
  key.protocol = kTcp;
  const auto pass = [&](int seconds) {
    s.now.centiseconds += seconds * 100;
    s.Survey();
    s.Survey();
  };
  const auto is_counted = [&] {
    for (int second = 0; second < 12; ++second) {
      s.survey.NoteRefused({key, s.now.centiseconds - 2, 1}, s.now);
      s.now.centiseconds += 100;
      s.Survey();
    }
    return s.last->services.size() == 1;
  };
  SECTION("before the first survey") {}
  SECTION("soon after it") {
    s.Survey();
    s.now.centiseconds += 2900;
  }
  CHECK(is_counted());
  pass(590);
  CHECK(is_counted());
  pass(590);
  CHECK(is_counted());
  pass(20);
  pass(20);
  pass(610);
  CHECK_FALSE(is_counted());
}

// Half-open floods, as the judge of answers tells them.
#include "daemon/alerts/judges/judge_answers.h"

#include "test/support/catch.h"
#include "test/unit/daemon/alerts/judged_host.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

using Strings = std::vector<std::string>;

// Attempts of `sources` proven sources, as each survey finds them.
void Try(Host& host, std::uint64_t sources, std::uint64_t unanswered, std::chrono::seconds duration) {
  for (std::chrono::seconds second{0}; second < duration; ++second) {
    if (!host.evidence.answers) host.Answers(443, 20, 0);
    host.evidence.answers = std::make_shared<AnswerFigures>(*host.evidence.answers);
    host.evidence.attempts.proven_sources = sources;
    host.evidence.attempts.proven_unanswered = unanswered;
    host.evidence.attempts.proven_failed = unanswered * 2;
    host.evidence.attempts.unanswered_leaders = {{"10.0.0.7", unanswered}};
    host.Run(1s);
  }
}

}  // namespace

TEST_CASE("half-open connections that were there when the daemon started are usual") {
  Host host;
  host.evidence.attempts.half_open = 161;
  host.evidence.attempts.half_open_sources = 101;
  Try(host, 10, 0, 300s);
  CHECK(host.Firing().empty());
}

TEST_CASE("half-open connections of many unproven sources are a flood, those of a few are not") {
  Host host;
  Try(host, 10, 0, 60s);
  host.evidence.attempts.half_open_sources = GENERATE(5U, 10U, 900U);
  host.evidence.attempts.half_open = host.evidence.attempts.half_open_sources == 10 ? 6000 : 900;
  Try(host, 10, 0, 25s);
  if (host.evidence.attempts.half_open_sources != 5) {
    CHECK(host.Firing().size() == 1);
  } else {
    CHECK(host.Firing().empty());
  }
  host.evidence.attempts.half_open = host.evidence.attempts.half_open_sources = 0;
  Try(host, 10, 0, 10s);
  CHECK(host.Firing().empty());
}

TEST_CASE("what stays half open for want of an answer is no flood, and what is more than that is one") {
  Host host;
  const auto tries = [&](std::uint64_t unanswered, std::chrono::seconds duration) {
    if (!host.evidence.answers) host.Answers(443, 20, 0);
    auto answers = std::make_shared<AnswerFigures>(*host.evidence.answers);
    answers->attempts = 100;  // 5 a second
    host.evidence.answers = answers;
    Try(host, 40, unanswered, duration);
  };
  tries(1, 120s);
  host.evidence.attempts.half_open_sources = 60;
  host.evidence.attempts.half_open = GENERATE(300U, 9000U);
  tries(36, 120s);
  const bool flood = host.evidence.attempts.half_open > 1000;
  CHECK((host.Find(AlertKind::kHalfOpenFlood) != nullptr) == flood);
  if (flood) return;
  tries(1, 20s);  // some are half open for a while
  CHECK(host.Firing().empty());
}

TEST_CASE("half-open connections are judged once all that are counted began while it ran") {
  Host host;
  host.Answers(443, 20, 0);
  const auto blind = [&] { return host.Look().blind[static_cast<std::size_t>(AlertKind::kHalfOpenFlood)]; };
  CHECK(blind());
  host.Run(20s);
  CHECK(blind());
  host.Run(10s);
  CHECK_FALSE(blind());
}

TEST_CASE("what is usual of a busy host's half-open connections is no flood") {
  Host host;
  host.evidence.attempts.half_open = host.evidence.attempts.half_open_sources = 75;
  Try(host, 10, 0, 120s);
  host.evidence.attempts.half_open = host.evidence.attempts.half_open_sources = 300;
  Try(host, 10, 0, 60s);
  CHECK(host.Firing().empty());
}

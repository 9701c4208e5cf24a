#include "daemon/http/access/password_checker.h"

#include <poll.h>

#include <map>

#include "test/support/catch.h"

using namespace conntally;
using namespace conntally::http;
using Answer = PasswordChecker::Answer;

namespace {

// "U*U", at the least cost that takes long enough for others to queue behind it.
const Users kUsers = {{"me", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"}};

// An asker is a number, by its address.
struct Asked {
  PasswordChecker& checker;
  std::map<void*, Answer> answers = {};

  Answer WaitFor(void* asker) {
    while (!answers.contains(asker)) {
      pollfd wait{checker.descriptor(), POLLIN, 0};
      REQUIRE(poll(&wait, 1, 20'000) == 1);
      for (const auto& [each, answer] : checker.TakeAnswers()) answers[each] = answer;
    }
    return answers.at(asker);
  }
};

}  // namespace

TEST_CASE("a password is computed once, and known from then on, be it right or wrong") {
  PasswordChecker checker;
  Asked asked{checker};
  int a = 0, b = 0, c = 0;
  CHECK_FALSE(checker.Check(kUsers, {"me", "U*U"}, "here", &a));
  CHECK_FALSE(checker.Check(kUsers, {"me", "U*V"}, "here", &b));
  CHECK_FALSE(checker.Check(kUsers, {"you", "U*U"}, "here", &c));
  CHECK(asked.WaitFor(&a) == Answer::kRight);
  CHECK(asked.WaitFor(&b) == Answer::kWrong);
  CHECK(asked.WaitFor(&c) == Answer::kWrong);
  CHECK(checker.Check(kUsers, {"me", "U*U"}, "elsewhere", &a) == Answer::kRight);
  CHECK(checker.Check(kUsers, {"me", "U*V"}, "elsewhere", &a) == Answer::kWrong);
  CHECK(checker.Check(kUsers, {"you", "U*U"}, "elsewhere", &a) == Answer::kWrong);
  // Another hash is another question, even of the same password.
  CHECK_FALSE(checker.Check({{"me", kUsers.at("me").substr(0, 59) + "X"}}, {"me", "U*U"}, "here", &a));
  CHECK(checker.Check({}, {"anybody", ""}, "here", &a) == Answer::kRight);
}

TEST_CASE("who floods it is turned away himself, and a right password of another has its turn") {
  PasswordChecker checker;
  Asked asked{checker};
  std::vector<int> flood(3 * PasswordChecker::kWaitingMax);
  for (std::size_t i = 0; i < flood.size(); ++i) {
    CHECK_FALSE(checker.Check(kUsers, {"me", std::to_string(i)}, "attacker", &flood[i]));
  }
  int good = 0, same_place = 0;
  CHECK_FALSE(checker.Check(kUsers, {"me", "U*U"}, "scraper", &good));
  CHECK_FALSE(checker.Check(kUsers, {"other", "U*U"}, "attacker", &same_place));
  CHECK(asked.WaitFor(&good) == Answer::kRight);
  CHECK(asked.WaitFor(&same_place) == Answer::kWrong);  // checked, not turned away
  std::size_t turned_away = 0, wrong = 0;
  for (const auto& [asker, answer] : asked.answers) {
    turned_away += answer == Answer::kTurnedAway ? 1U : 0U;
    wrong += answer == Answer::kWrong ? 1U : 0U;
  }
  CHECK(turned_away >= flood.size() - PasswordChecker::kWaitingMax - 200);
  CHECK(wrong < PasswordChecker::kWaitingMax / 2);  // theirs are not all before his
}

TEST_CASE("those who wait are given back at the end") {
  PasswordChecker checker;
  int a = 0, b = 0;
  CHECK_FALSE(checker.Check(kUsers, {"me", "1"}, "here", &a));
  CHECK_FALSE(checker.Check(kUsers, {"me", "1"}, "here", &b));
  CHECK(checker.GiveUp() == std::vector<void*>{&a, &b});
}

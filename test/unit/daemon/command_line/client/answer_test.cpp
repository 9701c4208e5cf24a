#include "daemon/command_line/client/answer.h"

#include "test/support/catch.h"

using namespace conntally;

TEST_CASE("an answer of conntally is JSON") { CHECK(ParseAnswer(R"({"synced": true})").value().at("synced") == true); }

TEST_CASE("what is no such answer is told in one short line that a terminal can show") {
  const std::string deep = std::string(1'000'000, '[');
  std::string many = "[0";
  for (int i = 0; i < 1'000'001; ++i) many += ",0";
  for (const std::string& text :
       {std::string(), std::string("nonsense"), deep, deep + std::string(1'000'000, ']'), many + "]",
        std::string("{\"a\": NaN}"), std::string("{\"a\": 1e999}"), "\"" + std::string(1'000'000, 'x'),
        std::string("\"\xc2\x9b\u202e\x1b"), std::string("\xff"), std::string("{}\0\0", 4)}) {
    const auto answer = ParseAnswer(text);
    REQUIRE_FALSE(answer);
    const std::string& why = answer.error().message;
    CHECK(why.starts_with("the answer is not from conntally, or from another version of it: "));
    CHECK(why.size() < 300);
    for (const char* harmful : {"\n", "\x1b", "\xc2\x9b", "\u202e"}) CHECK(why.find(harmful) == why.npos);
  }
}

#include "config/log_words.h"

#include "test/support/catch.h"

using namespace conntally;

TEST_CASE("choices are listed without their aliases") {
  CHECK(DescribeChoices(kLogLevels) == "debug, info, warning or error");
  CHECK(DescribeChoices(kLogFormats) == "text or json");
  CHECK(FindChoice(kLogLevels, "warn") == Config::LogLevel::kWarning);
  CHECK_FALSE(FindChoice(kLogLevels, "WARN"));
}

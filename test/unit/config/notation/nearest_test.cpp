#include "config/notation/nearest.h"

#include <vector>

#include "test/support/catch.h"

using conntally::EditDistance;
using conntally::Nearest;

TEST_CASE("the edit distance counts letters put in, taken out, changed and swapped") {
  CHECK(EditDistance("", "") == 0);
  CHECK(EditDistance("", "abc") == 3);
  CHECK(EditDistance("kitten", "sitting") == 3);
  CHECK(EditDistance("levle", "level") == 1);
  CHECK(EditDistance("level", "level") == 0);
}

TEST_CASE("the nearest name is found, and nothing is forced on a word that is far from all") {
  const std::vector<std::string> names = {"level", "format", "web"};
  CHECK(Nearest("lvel", names) == "level");
  CHECK(Nearest("fromat", names) == "format");
  CHECK(Nearest("we", names) == "web");
  CHECK(Nearest("for", names) == "format");
  CHECK_FALSE(Nearest("fo", names));
  CHECK_FALSE(Nearest("colour", names));
  CHECK_FALSE(Nearest(std::string(100'000, 'l'), names));
  CHECK_FALSE(Nearest("x", {}));
}

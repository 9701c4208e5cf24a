#include <fstream>
#include <set>
#include <sstream>

#include "config/document.h"
#include "config/parse.h"
#include "test/support/catch.h"

namespace {

using conntally::config::Node;

// Every dotted key that a file mentions; what is inside a list stands under the list.
void CollectKeys(const Node& node, const std::string& path, std::set<std::string>& keys) {
  if (node.items.empty()) keys.insert(path);
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const bool is_map = node.kind == Node::Kind::kMap;
    const std::string name = is_map ? (path.empty() ? "" : path + ".") + node.keys[i].text : path;
    CollectKeys(node.items[i], name, keys);
  }
}

std::string ReadFile(const char* path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("the default file says what conntally does without a file") {
  const auto parsed = conntally::LoadConfigFile(CONNTALLY_DEFAULT_FILE);
  REQUIRE(std::holds_alternative<conntally::Config>(parsed));
  CHECK(std::get<conntally::Config>(parsed) == conntally::Config{});
}

TEST_CASE("the default file has every key that is understood, and no other") {
  std::set<std::string> in_file;
  CollectKeys(std::get<Node>(conntally::config::ParseDocument(ReadFile(CONNTALLY_DEFAULT_FILE))), "", in_file);
  const auto& keys = conntally::ConfigKeys();
  CHECK(in_file == std::set<std::string>(keys.begin(), keys.end()));
}

TEST_CASE("no key is listed twice") {
  const auto& keys = conntally::ConfigKeys();
  CHECK(std::set<std::string>(keys.begin(), keys.end()).size() == keys.size());
  CHECK(keys.front() == "web.listen_address");
  CHECK(keys.back() == "log.format");
}

#include "daemon/top/model/view.h"

#include "test/support/catch.h"

using namespace conntally;
using namespace conntally::top;

namespace {

Source Named(const std::string& name, std::uint64_t connections, double new_rate = 0) {
  Source source{.name = name, .limits = {}, .drops = {}, .first_seen = {}, .last_seen = {}};
  source.connections = connections;
  source.new_rate = new_rate;
  return source;
}

Model ThreeSources() {
  Model model;
  model.sources = {Named("192.0.2.1", 30, 1), Named("192.0.2.2", 20, 9), Named("2001:db8::1", 10, 5)};
  return model;
}

void Type(std::string_view text, const Model& model, View& view) {
  for (const char character : text) Apply({KeyCode::kCharacter, character}, model, 10, view);
}

std::vector<std::string> Names(const Model& model, const View& view) {
  std::vector<std::string> names;
  for (const Source* source : ShownSources(model, view)) names.push_back(source->name);
  return names;
}

}  // namespace

TEST_CASE("a key sorts at once, before the daemon is asked") {
  const Model model = ThreeSources();
  View view;
  CHECK(Names(model, view).front() == "192.0.2.1");
  Type("n", model, view);
  CHECK(Names(model, view) == std::vector<std::string>{"192.0.2.2", "2001:db8::1", "192.0.2.1"});
}

TEST_CASE("a filter is typed, taken with Enter, given up with Escape") {
  const Model model = ThreeSources();
  View view;
  Type("/192.0.2.77/24", model, view);
  CHECK(view.prompt == "192.0.2.77/24");
  CHECK(Names(model, view).size() == 3);
  Apply({KeyCode::kEnter}, model, 10, view);
  CHECK(!view.prompt);
  CHECK(view.filter->ToString() == "192.0.2.0/24");
  CHECK(Names(model, view).size() == 2);
  Apply({KeyCode::kEscape}, model, 10, view);
  CHECK(Names(model, view).size() == 3);
}

TEST_CASE("a filter that is none says so, and changes nothing; keys while typing are text") {
  const Model model = ThreeSources();
  View view;
  Type("/quit", model, view);
  CHECK(!view.quit);
  Apply({KeyCode::kEnter}, model, 10, view);
  CHECK(!view.filter);
  CHECK(view.message.find("quit") != std::string::npos);
  Type("/" + std::string(500, '1'), model, view);
  CHECK(view.prompt->size() <= 64);
}

TEST_CASE("the selection follows its source when the order changes") {
  Model model = ThreeSources();
  View view;
  Apply({KeyCode::kDown}, model, 10, view);
  Apply({KeyCode::kDown}, model, 10, view);
  CHECK(view.selected == "192.0.2.2");
  model.sources[2].connections = 1000;
  Apply({KeyCode::kDown}, model, 10, view);
  CHECK(view.selected == "192.0.2.2");  // it is the last now
  Apply({KeyCode::kEnter}, model, 10, view);
  CHECK(view.screen == Screen::kSource);
  CHECK(view.opened == "192.0.2.2");
  Apply({KeyCode::kEscape}, model, 10, view);
  CHECK(view.screen == Screen::kSources);
}

TEST_CASE("keys do no harm where there is nothing") {
  const Model model;
  View view;
  for (const auto code :
       {KeyCode::kUp, KeyCode::kDown, KeyCode::kPageDown, KeyCode::kEnd, KeyCode::kEnter, KeyCode::kEscape}) {
    Apply({code}, model, 0, view);
  }
  CHECK(view.screen == Screen::kSources);
  Type("f", model, view);
  CHECK(view.frozen);
  Type(" aarr?q", model, view);
  CHECK(!view.frozen);
  CHECK(view.quit);
}

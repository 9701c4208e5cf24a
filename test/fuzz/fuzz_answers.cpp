// Any JSON, and any text, as a daemon's answers to `top`, `status` and `diagnose`: whatever is made of them fits the
// screen, and nothing in it steers a terminal. An input is an object whose members are the answers, or the answer to
// every question.
//
//   build/fuzz/test/fuzz/fuzz_answers -dict=test/fuzz/answers.dict WORK_FOLDER test/fuzz/corpus/answers
#include <cstdlib>
#include <string>

#include "collectors/system/shown_text.h"
#include "daemon/command_line/client/answer.h"
#include "daemon/command_line/status.h"
#include "daemon/diagnose/facts/running_daemon.h"
#include "daemon/top/screens/render.h"
#include "daemon/top/text/text.h"
#include "test/fuzz/json_mutator.h"

CONNTALLY_MUTATES_JSON;

namespace {

using namespace conntally;

void Require(bool holds) {
  if (!holds) std::abort();
}

struct Answers {
  explicit Answers(const std::string& text) : text_(text), json_(nlohmann::json::parse(text, nullptr, false)) {}

  std::string To(const char* question) const {
    if (!json_.is_object() || !json_.contains(question)) return text_;
    return json_[question].dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

 private:
  const std::string& text_;
  const nlohmann::json json_;
};

void IsHarmless(const std::string& line) { Require(ShownLine(line) == line); }

void Look(const top::Model& model, top::Size size) {
  for (const auto screen :
       {top::Screen::kSources, top::Screen::kSource, top::Screen::kAlerts, top::Screen::kRules, top::Screen::kHelp}) {
    top::View view;
    view.screen = screen;
    view.opened = model.opened_source;
    for (const top::KeyCode key : {top::KeyCode::kDown, top::KeyCode::kEnd})
      top::Apply({key}, model, top::ListRows(size), view);
    const top::Frame frame = top::Render(model, view, size, {.address = "http://127.0.0.1:9105"});
    Require(frame.size() <= size.rows);
    for (const top::Row& row : frame) {
      const std::string line = row.Plain(size.columns);
      Require(top::Width(line) <= size.columns);
      IsHarmless(line);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Answers answers(text);
  top::Model model;
  model.opened_source = "192.0.2.7";
  for (const auto& taken :
       {top::TakeStatus(answers.To("status"), model), top::TakeSources(answers.To("sources"), model),
        top::TakeAlerts(answers.To("alerts"), model), top::TakeHistory(answers.To("history"), model),
        top::TakeOpenedSource(answers.To("sources"), model), top::TakeOpenedHistory(answers.To("history"), model),
        top::TakeDetails(answers.To("details"), model)}) {
    if (taken) continue;
    IsHarmless(taken.error().message);
    model.trouble = taken.error().message;
  }
  constexpr top::Size kSizes[] = {{40, 10}, {81, 25}, {300, 60}};
  Look(model, kSizes[size % 3]);

  if (const auto people = StatusForPeople(answers.To("status"))) {
    for (std::string_view rest = *people; !rest.empty();
         rest.remove_prefix(std::min(rest.size(), rest.find('\n') + 1))) {
      Require(rest.find('\n') != rest.npos);
      IsHarmless(std::string(rest.substr(0, rest.find('\n'))));
    }
  } else {
    IsHarmless(people.error().message);
  }
  const auto daemon = diagnose::ReadRunningDaemon({answers.To("status"), answers.To("sources"), answers.To("sources")});
  if (!daemon) IsHarmless(daemon.error().message);
  const std::string shown = ShownJson(text);
  if (const auto json = ParseAnswer(text)) Require(nlohmann::json::parse(shown) == *json);
  return 0;
}

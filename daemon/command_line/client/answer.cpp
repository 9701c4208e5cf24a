#include "daemon/command_line/client/answer.h"

#include "collectors/system/shown_text.h"

namespace conntally {
namespace {

using Json = nlohmann::json;

constexpr int kDepthMax = 32;
constexpr std::size_t kValuesMax = 1'000'000;
constexpr std::size_t kReasonBytesMax = 200;  // the parser quotes the last token, which may be long

struct OutOfBounds {
  const char* why;
};

}  // namespace

Error StrangeAnswer(std::string_view why) {
  return Error{"the answer is not from conntally, or from another version of it: " + ShownLine(why, kReasonBytesMax)};
}

Result<Json> ParseAnswer(const std::string& text) {
  if (text.find('\0') != text.npos) return StrangeAnswer("it has a NUL");  // which the parser takes for the end
  std::size_t values = 0;
  const auto within_bounds = [&](int depth, Json::parse_event_t, const Json&) {
    if (depth > kDepthMax) throw OutOfBounds{"it is nested too deeply"};
    if (++values > kValuesMax) throw OutOfBounds{"it has too many values"};
    return true;
  };
  try {
    return Json::parse(text, within_bounds);
  } catch (const Json::exception& error) {
    return StrangeAnswer(error.what());
  } catch (const OutOfBounds& error) {
    return StrangeAnswer(error.why);
  }
}

}  // namespace conntally

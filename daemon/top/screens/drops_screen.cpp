#include "daemon/top/screens/drops_screen.h"

#include <spdlog/fmt/fmt.h>

#include "daemon/top/text/text.h"

namespace conntally::top {
namespace {

// "2026-01-31T23:59:59Z": the time of day.
std::string TimeOfDay(const std::string& when) { return when.size() >= 19 ? when.substr(11, 8) : when; }

}  // namespace

Frame DropsScreen(const Model& model, const View& view) {
  Frame frame = {Row().Add(Left("LAST", 10) + Left("SOURCE", 26) + Left("TO", 26) + Left("PORT", 12) + Left("BY", 12) +
                               Left("HOOK", 12) + Right("PACKETS", 9) + "  RULE",
                           Style::kHeading)};
  for (const LateDrop& drop : model.late_drops) {
    const std::string port = drop.port != 0 ? drop.protocol + "/" + std::to_string(drop.port) : drop.protocol;
    frame.push_back(Row()
                        .Add(Left(TimeOfDay(drop.last), 10), Style::kDim)
                        .Add(Left(drop.source, 26), Style::kBold)
                        .Add(Left(drop.destination.empty() ? "-" : drop.destination, 26) + Left(port, 12) +
                             Left(drop.interface, 12) + Left(drop.hook, 12) + Right(Thousands(drop.packets), 9))
                        .Add("  " + (drop.rule.empty() ? "not known" : drop.rule), Style::kDim));
  }
  if (frame.size() > 1) return frame;
  return {Row().Add(view.drops_of.empty() ? "Nothing was dropped in the last ten minutes, as far as is known."
                                          : "Nothing of " + view.drops_of + " was dropped in the last ten minutes.")};
}

}  // namespace conntally::top

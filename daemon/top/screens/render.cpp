#include "daemon/top/screens/render.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "daemon/top/screens/drops_screen.h"
#include "daemon/top/screens/head.h"
#include "daemon/top/screens/source_list.h"
#include "daemon/top/screens/source_screen.h"
#include "daemon/top/text/text.h"

namespace conntally::top {
namespace {

constexpr std::size_t kFootRows = 1;

Frame AlertsScreen(const Model& model) {
  Frame frame;
  if (!model.alerts_known) return {Row().Add("This daemon does not report alerts.")};
  if (model.alerts.empty()) return {Row().Add("No alert.", Style::kGood)};
  for (const Alert& alert : model.alerts) {
    const bool alarms = alert.state == "firing" && alert.severity != "info";
    const Style style = !alarms ? Style::kDim : alert.severity == "critical" ? Style::kCritical : Style::kWarning;
    Row row;
    row.Add(Left(alert.state, 9) + Left(alert.severity, 9) + alert.name, style);
    if (!alert.source.empty()) row.Add("  " + alert.source, Style::kBold);
    if (!alert.since.empty()) row.Add("  since " + alert.since, Style::kDim);
    frame.push_back(row);
    if (!alert.summary.empty()) frame.push_back(Row().Add("  " + alert.summary));
    if (!alert.description.empty()) frame.push_back(Row().Add("  " + alert.description, Style::kDim));
    if (!alert.rule.empty()) frame.push_back(Row().Add("  rule: " + alert.rule, Style::kDim));
    if (alert.degraded) frame.push_back(Row().Add("  its data is not complete", Style::kWarning));
  }
  return frame;
}

Frame RulesScreen(const Model& model) {
  Frame frame = {
      Row().Add(Right("PACKETS/S", 10) + Right("PACKETS", 14) + "  " + Left("VERDICT", 8) + "RULE", Style::kHeading)};
  for (const DropRule& rule : model.status.drop_rules) {
    frame.push_back(Row()
                        .Add(Right(Short(rule.packets_per_second), 10),
                             rule.packets_per_second > 0 ? Style::kWarning : Style::kPlain)
                        .Add(Right(Thousands(rule.packets), 14) + "  " + Left(rule.verdict, 8) + rule.rule)
                        .Add("  in " + rule.place, Style::kDim));
  }
  if (frame.size() == 1) frame.push_back(Row().Add("No rule with a counter has dropped or rejected a packet."));
  return frame;
}

Frame HelpScreen() {
  static constexpr std::pair<const char*, const char*> kKeys[] = {
      {"c n u d", "sort by connections, new per second, unreplied, dropped packets"},
      {"/", "filter by address or CIDR; empty: all of them"},
      {"up down j k", "select; PageUp, PageDown, Home, End too"},
      {"Enter", "open the source: its connections by port and state, limits, drops, last hour"},
      {"Esc", "back; in the list: no filter"},
      {"space f", "freeze, and go on"},
      {"a r", "alerts; the rules that drop or reject the most"},
      {"x", "what was dropped of late, of whom and for whom; in an opened source: of it"},
      {"? h", "this help"},
      {"q", "quit"},
  };
  Frame frame;
  for (const auto& [keys, what] : kKeys) frame.push_back(Row().Add(Left(keys, 14), Style::kBold).Add(what));
  frame.push_back({});
  frame.push_back(Row().Add("HALF% unreplied share of a source's connections; LIMIT its most used limit;"));
  frame.push_back(Row().Add("PORT where most of its connections go; DROP/S and RULE what is dropped of it."));
  return frame;
}

// The rows from `scroll` on.
Frame Scrolled(Frame frame, std::size_t scroll, std::size_t rows) {
  const std::size_t last = frame.size() > rows ? frame.size() - rows : 0;
  frame.erase(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(std::min(scroll, last)));
  frame.resize(std::min(frame.size(), rows));
  return frame;
}

Row Foot(const View& view, Size size) {
  if (view.prompt)
    return Row().Add("filter by address or CIDR: ", Style::kBold).Add(*view.prompt).Add(view.unicode ? "█" : "_");
  if (!view.message.empty()) return Row().Add(view.message, Style::kWarning);
  const std::string keys =
      view.screen == Screen::kSources
          ? "quit q  help ?  sort c n u d  filter /  open Enter  freeze f  alerts a  rules r  drops x"
          : "quit q  help ?  back Esc  scroll up down  freeze f  drops x";
  Row row;
  if (view.filter && view.screen == Screen::kSources) row.Add("within " + view.filter->ToString() + "  ", Style::kBold);
  return row.Add(Cut(keys, size.columns - std::min(size.columns, row.width())), Style::kDim);
}

Frame NoAnswer(const Model& model, Size size, const Moment& moment) {
  Frame frame = {
      Row().Add("conntally top", Style::kBold),
      {},
      Row().Add(model.trouble.empty() ? "asking " + moment.address + " ..." : "No daemon answers at " + moment.address,
                model.trouble.empty() ? Style::kPlain : Style::kCritical)};
  if (!model.trouble.empty()) {
    frame.push_back(Row().Add(model.trouble, Style::kDim));
    frame.push_back({});
    frame.push_back(Row().Add("Is it running (systemctl status conntally), and at this address"));
    frame.push_back(Row().Add("(--web.listen-address)? It is asked again and again; q quits."));
  }
  frame.resize(std::min(frame.size(), size.rows));
  return frame;
}

}  // namespace

std::size_t ListRows(Size size) {
  constexpr std::size_t kOthers = kHeadRows + kFootRows + 1;  // plus the list's heading
  return size.rows > kOthers ? size.rows - kOthers : 1;
}

Frame Render(const Model& model, const View& view, Size size, const Moment& moment) {
  if (size.columns < kLeastSize.columns || size.rows < kLeastSize.rows) return {Row().Add("too small")};
  if (!model.answered) return NoAnswer(model, size, moment);
  Frame frame = Head(model, view, size, moment);
  const std::size_t rows = size.rows - std::min(size.rows, frame.size() + kFootRows);
  Frame body;
  switch (view.screen) {
    case Screen::kSources: body = SourceList(model, view, size, rows); break;
    case Screen::kSource: body = Scrolled(SourceScreen(model, view, size), view.scroll, rows); break;
    case Screen::kAlerts: body = Scrolled(AlertsScreen(model), view.scroll, rows); break;
    case Screen::kRules: body = Scrolled(RulesScreen(model), view.scroll, rows); break;
    case Screen::kDrops: body = Scrolled(DropsScreen(model, view), view.scroll, rows); break;
    case Screen::kHelp: body = Scrolled(HelpScreen(), view.scroll, rows); break;
  }
  body.resize(rows);
  frame.insert(frame.end(), body.begin(), body.end());
  frame.push_back(Foot(view, size));
  return frame;
}

}  // namespace conntally::top

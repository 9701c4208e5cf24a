#include "daemon/top/screens/source_screen.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "daemon/top/screens/head.h"
#include "daemon/top/text/text.h"

namespace conntally::top {
namespace {

void AddFigures(const Model& model, const Source& source, Frame& frame) {
  const double all = static_cast<double>(std::max<std::uint64_t>(model.status.connections, 1));
  frame.push_back(Row()
                      .Add(source.name, Style::kBold)
                      .Add(fmt::format("  {} connections, {} of all", Thousands(source.connections),
                                       Percent(static_cast<double>(source.connections) / all))));
  frame.push_back(
      Row().Add(fmt::format("{} unreplied ({})  new {}/s  {} destination ports  opened {}  closed {}",
                            Thousands(source.unreplied), Percent(source.unreplied_share()), Short(source.new_rate),
                            Thousands(source.destination_ports), Thousands(source.opened), Thousands(source.closed))));
  frame.push_back(Row().Add("first seen " + source.first_seen + ", last " + source.last_seen, Style::kDim));
}

void AddRules(const Source& source, Frame& frame) {
  for (const Limit& limit : source.limits) {
    const Style style = limit.usage >= 0.95 ? Style::kCritical : limit.usage >= 0.8 ? Style::kWarning : Style::kPlain;
    frame.push_back(Row()
                        .Add(Left("limit", 9), Style::kDim)
                        .Add(fmt::format("{}{} of {} ({})", limit.approximate ? "about " : "", Thousands(limit.counted),
                                         Thousands(limit.connections), Percent(limit.usage)),
                             style)
                        .Add("  " + limit.origin + (limit.rule.empty() ? "" : ": " + limit.rule)));
  }
  for (const Drop& drop : source.drops) {
    frame.push_back(Row()
                        .Add(Left("dropped", 9), Style::kDim)
                        .Add(Thousands(drop.packets) + " packets", Style::kWarning)
                        .Add("  by " + (drop.rule.empty() ? "an unknown rule" : drop.rule))
                        .Add("  (" + drop.via + ")", Style::kDim));
  }
  if (!source.drops.empty()) frame.push_back(Row().To(9).Add(fmt::format("now {} packets/s", Short(source.drop_rate))));
  if (source.limits.empty() && source.drops.empty())
    frame.push_back(Row().Add("no known limit applies to it, and none of its packets is dropped", Style::kDim));
}

void AddHistory(const Model& model, const View& view, Size size, Frame& frame) {
  if (model.opened_connections.empty()) {
    frame.push_back(
        Row()
            .Add(Left("hour", 9), Style::kDim)
            .Add("kept only for the sources at the top of a ranking; this one has not been there", Style::kDim));
    return;
  }
  const std::size_t columns = std::min<std::size_t>(size.columns > 40 ? size.columns - 40 : 10, 90);
  const auto line = [&](std::string_view name, const Series& series, std::string_view unit) {
    frame.push_back(Row()
                        .Add(Left(name, 9), Style::kDim)
                        .Add(Sparkline(series, columns, view.unicode))
                        .Add("  " + RangeOf(series) + std::string(unit), Style::kDim));
  };
  line("hour", model.opened_connections, " connections");
  line("", model.opened_new_rate, " new/s");
  line("", model.opened_drop_rate, " dropped/s");
}

void AddKinds(const Model& model, const View& view, Frame& frame) {
  const auto found = model.details.find(view.opened);
  if (found == model.details.end() || found->second.pending) {
    frame.push_back(Row().Add("asking the kernel which connections these are ...", Style::kDim));
    return;
  }
  const Detail& detail = found->second;
  frame.push_back(
      Row()
          .Add(Left("PROTOCOL", 9) + Right("PORT", 7) + "  " + Left("STATE", 14) + Right("CONN", 10), Style::kHeading)
          .Add("  as of " + Age(detail.age_seconds) + " ago", Style::kDim));
  for (const PortKind& kind : detail.kinds) {
    const std::string port = kind.destination_port != 0 ? std::to_string(kind.destination_port) : "-";
    frame.push_back(Row().Add(Left(kind.protocol, 9) + Right(port, 7) + "  " + Left(kind.state, 14) +
                              Right(Thousands(kind.connections), 10)));
  }
  if (detail.others > 0)
    frame.push_back(Row().Add(Left("others", 32) + Right(Thousands(detail.others), 10), Style::kDim));
  if (detail.kinds.empty()) frame.push_back(Row().Add("no connection"));
}

}  // namespace

Frame SourceScreen(const Model& model, const View& view, Size size) {
  Frame frame;
  // The list's row, until the source's own answer arrives.
  const auto listed = std::ranges::find(model.sources, view.opened, &Source::name);
  const bool own = model.opened_source == view.opened && model.opened;
  if (!own && listed == model.sources.end()) {
    return {
        Row().Add(view.opened, Style::kBold).Add("  has no connections, and none of its packets was dropped recently")};
  }
  const Source& source = own ? *model.opened : *listed;
  AddFigures(model, source, frame);
  AddRules(source, frame);
  if (model.opened_source == view.opened) AddHistory(model, view, size, frame);
  frame.push_back({});
  AddKinds(model, view, frame);
  return frame;
}

}  // namespace conntally::top

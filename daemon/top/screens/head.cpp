#include "daemon/top/screens/head.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "daemon/top/text/text.h"

namespace conntally::top {
namespace {

constexpr std::size_t kLabelColumns = 9;

Row Labelled(std::string_view label) { return Row().Add(Left(label, kLabelColumns), Style::kDim); }

std::optional<double> FillOf(const Table& table) {
  if (table.limit == 0) return std::nullopt;
  return static_cast<double>(table.entries) / static_cast<double>(table.limit);
}

// As the alerts' defaults have it.
Style StyleOfFill(double fill) {
  return fill >= 0.9 ? Style::kCritical : fill >= 0.75 ? Style::kWarning : Style::kGood;
}

Row Title(const Model& model, const View& view, Size size, const Moment& moment) {
  Row row;
  row.Add(fmt::format("conntally {}", model.status.version), Style::kBold);
  if (!model.status.host.empty()) row.Add("  " + model.status.host);
  std::string state = fmt::format("every {:.3g} s", static_cast<double>(moment.interval.count()) / 1000);
  Style style = Style::kDim;
  const double age = std::chrono::duration<double>(moment.now - model.answered_at).count();
  if (!model.trouble.empty()) {
    state = "NO ANSWER, as of " + Age(age) + " ago";
    style = Style::kCritical;
  } else if (view.frozen) {
    state = "FROZEN, as of " + Age(age) + " ago";
    style = Style::kWarning;
  }
  std::string time = model.status.now.size() == 20 ? model.status.now.substr(11, 8) + " UTC" : "";
  const std::size_t wanted = Width(state) + (time.empty() ? 0 : Width(time) + 2);
  if (row.width() + 2 + wanted > size.columns) time.clear();
  row.To(size.columns - std::min(size.columns, time.empty() ? Width(state) : wanted));
  return row.Add(state, style).Add(time.empty() ? "" : "  " + time);
}

Row TableRow(const Model& model, const View& view, Size size) {
  Row row = Labelled("table");
  if (!model.status.table) return row.Add("the kernel does not report it", Style::kWarning);
  const Table& table = *model.status.table;
  const auto fill = FillOf(table);
  if (!fill) return row.Add(Thousands(table.entries) + " entries");
  const Style style = StyleOfFill(*fill);
  const std::string figures =
      fmt::format(" {} of {}  {}", Thousands(table.entries), Thousands(table.limit), Percent(*fill));
  const std::string until = table.seconds_until_full ? "full in " + Age(*table.seconds_until_full) : "not growing";
  const std::size_t text = Width(figures) + 2 + Width(until);
  const std::size_t room = size.columns > kLabelColumns + text + 2 ? size.columns - kLabelColumns - text - 2 : 0;
  const std::size_t bar = std::min<std::size_t>(room, 60);
  const auto full = static_cast<std::size_t>(std::clamp(*fill, 0.0, 1.0) * static_cast<double>(bar) + 0.5);
  if (bar >= 4) {
    std::string filled, empty;
    for (std::size_t i = 0; i < bar; ++i)
      (i < full ? filled : empty) += view.unicode ? (i < full ? "█" : "░") : (i < full ? "#" : ".");
    row.Add("[").Add(filled, style).Add(empty, Style::kDim).Add("]");
  }
  const bool soon = table.seconds_until_full && *table.seconds_until_full < 1800;
  return row.Add(figures, style == Style::kGood ? Style::kBold : style)
      .Add("  ")
      .Add(until, soon ? Style::kCritical : Style::kPlain);
}

Row RatesRow(const DaemonStatus& status) {
  Row row = Labelled("rates");
  row.Add(fmt::format("opened {}/s  closed {}/s  dropped by rules ", Short(status.opened_per_second),
                      Short(status.closed_per_second)));
  return row.Add(Short(status.dropped_packets_per_second) + "/s",
                 status.dropped_packets_per_second >= 1 ? Style::kWarning : Style::kPlain);
}

Row LossesRow(const DaemonStatus& status) {
  Row row = Labelled("kernel");
  if (!status.table) return row.Add("the kernel does not report its losses", Style::kWarning);
  const Table& table = *status.table;
  const bool any = table.drops + table.early_drops + table.insert_failed > 0;
  row.Add(fmt::format("dropped {} (table full), evicted {} early, {} insertions failed", Thousands(table.drops),
                      Thousands(table.early_drops), Thousands(table.insert_failed)),
          any && status.kernel_losses_per_second <= 0 ? Style::kWarning : Style::kPlain);
  if (status.kernel_losses_per_second > 0)
    row.Add(fmt::format("  now {}/s", Short(status.kernel_losses_per_second)), Style::kCritical);
  return row;
}

// As the alerts' defaults have it.
Row NatRow(const NatPorts& nat) {
  const double usage =
      static_cast<double>(nat.used - std::min(nat.closed, nat.used)) / static_cast<double>(nat.available);
  const Style style = usage >= 0.95 ? Style::kCritical : usage >= 0.8 ? Style::kWarning : Style::kBold;
  return Labelled("nat")
      .Add(Percent(usage), style)
      .Add(fmt::format(" of {} ports of {} in use", Thousands(nat.available), nat.use));
}

Row StatesRow(const DaemonStatus& status, Size size) {
  Row row = Labelled("states");
  const double all = static_cast<double>(std::max<std::uint64_t>(status.connections, 1));
  const double unreplied = static_cast<double>(status.unreplied) / all;
  row.Add(Percent(unreplied) + " unreplied", unreplied >= 0.5 ? Style::kWarning : Style::kBold);
  for (const State& state : status.states) {
    const std::string text = fmt::format("  {} {}", state.name, Short(static_cast<double>(state.connections)));
    if (row.width() + Width(text) > size.columns) break;
    row.Add(text);
  }
  return row;
}

Row TrendRow(const Model& model, const View& view, Size size) {
  Row row = Labelled("hour");
  if (model.entries.size() < 2) return row.Add("the first minute: no trend yet", Style::kDim);
  const std::string range = "  " + RangeOf(model.entries) + " entries";
  const std::size_t columns = size.columns - std::min(size.columns, kLabelColumns + Width(range));
  return row.Add(Sparkline(model.entries, std::min<std::size_t>(columns, 90), view.unicode)).Add(range, Style::kDim);
}

Row AlertsRow(const Model& model) {
  Row row = Labelled("alerts");
  if (!model.alerts_known) return row.Add("this daemon does not report alerts", Style::kDim);
  std::size_t firing = 0, pending = 0, facts = 0;
  for (const Alert& alert : model.alerts) {
    const bool fact = alert.severity == "info";  // which does not alarm
    firing += alert.state == "firing" && !fact;
    pending += alert.state == "pending" && !fact;
    facts += alert.state == "firing" && fact;
  }
  const std::string for_information = facts == 0 ? "" : fmt::format("; {} for information", facts);
  if (firing + pending == 0) return row.Add("none", Style::kGood).Add(for_information, Style::kDim);
  row.Add(fmt::format("{} firing, {} pending", firing, pending), firing > 0 ? Style::kCritical : Style::kWarning);
  std::size_t named = 0;
  for (const Alert& alert : model.alerts) {
    if (alert.state != "firing" || alert.severity == "info" || named == 4) continue;
    row.Add(named++ == 0 ? ": " : ", ")
        .Add(alert.name + (alert.source.empty() ? "" : " " + alert.source),
             alert.severity == "critical" ? Style::kCritical : Style::kWarning);
  }
  return row.Add(for_information, Style::kDim);
}

// Always shown: whether the figures can be trusted.
Row TrustRow(const DaemonStatus& status) {
  Row row = Labelled("data");
  const bool exact = status.ready && status.synced;
  if (exact) {
    row.Add("exact", Style::kGood);
  } else {
    row.Add((status.ready ? "STALE: " : "") + status.verdict, status.ready ? Style::kCritical : Style::kWarning);
  }
  for (const Collector& collector : status.collectors) {
    if (collector.name == "conntrack" && !exact) continue;  // the verdict covers it
    if (!collector.works && !collector.off)
      row.Add("  " + collector.name + " FAILS: " + collector.failure, Style::kCritical);
  }
  row.Add(fmt::format("  {} events lost", Thousands(status.events_lost)),
          status.events_lost > 0 ? Style::kWarning : Style::kPlain);
  if (status.seconds_since_reconcile) row.Add("  compared " + Age(*status.seconds_since_reconcile) + " ago");
  if (status.missed + status.stale > 0)
    row.Add(fmt::format(" ({} missed, {} stale)", Thousands(status.missed), Thousands(status.stale)));
  if (status.turned_away > 0)
    row.Add(fmt::format("  {} turned away by bounds", Thousands(status.turned_away)), Style::kWarning);
  for (const Collector& collector : status.collectors) {
    if (collector.off) row.Add("  " + collector.name + " off", Style::kDim);
  }
  return row;
}

}  // namespace

std::string Sparkline(const Series& series, std::size_t columns, bool unicode) {
  static constexpr std::array<const char*, 8> kBlocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  static constexpr std::array<const char*, 8> kAscii = {"_", ".", ":", "-", "=", "+", "*", "#"};
  if (columns == 0 || series.empty()) return {};
  // Each column shows its greatest sample, so that no peak vanishes.
  const std::size_t shown = std::min(columns, series.size());
  double greatest = 0;
  for (const double value : series) greatest = std::isnan(value) ? greatest : std::max(greatest, value);
  std::string line;
  for (std::size_t column = 0; column < shown; ++column) {
    const std::size_t begin = column * series.size() / shown, end = (column + 1) * series.size() / shown;
    double value = std::numeric_limits<double>::quiet_NaN();
    for (std::size_t i = begin; i < end; ++i)
      value = std::isnan(series[i]) ? value : std::isnan(value) ? series[i] : std::max(value, series[i]);
    if (std::isnan(value)) {
      line += ' ';
      continue;
    }
    const double level = greatest > 0 ? value / greatest * 7 : 0;
    const auto index = static_cast<std::size_t>(std::clamp(level, 0.0, 7.0) + 0.5);
    line += unicode ? kBlocks[index] : kAscii[index];
  }
  return line;
}

std::string RangeOf(const Series& series) {
  double least = 0, greatest = 0;
  bool any = false;
  for (const double value : series) {
    if (std::isnan(value)) continue;
    least = any ? std::min(least, value) : value;
    greatest = any ? std::max(greatest, value) : value;
    any = true;
  }
  return any ? Short(least) + " .. " + Short(greatest) : "nothing known";
}

Frame Head(const Model& model, const View& view, Size size, const Moment& moment) {
  Frame head = {Title(model, view, size, moment),
                TableRow(model, view, size),
                RatesRow(model.status),
                LossesRow(model.status),
                StatesRow(model.status, size),
                TrendRow(model, view, size),
                AlertsRow(model),
                TrustRow(model.status),
                Row()};
  if (model.status.nat) head.insert(head.begin() + 4, NatRow(*model.status.nat));
  return head;
}

}  // namespace conntally::top

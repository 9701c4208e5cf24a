#include "daemon/top/screens/source_list.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "daemon/top/text/text.h"

namespace conntally::top {
namespace {

struct Cell {
  std::string text;
  Style style = Style::kPlain;
};

struct Column {
  std::string_view name;
  std::size_t width = 0;
  int importance = 0;  // the least important is dropped first if there is no room
  std::optional<Sort> sort;
  std::function<Cell(const Source&)> cell;
};

constexpr std::size_t kRuleColumnsMin = 8;

Style StyleOfUsage(double usage) {
  return usage >= 0.95 ? Style::kCritical : usage >= 0.8 ? Style::kWarning : Style::kPlain;
}

Cell LimitCell(const Source& source) {
  if (source.limits.empty()) return {"-", Style::kDim};
  const Limit& limit = source.limits.front();
  return {fmt::format("{} {}", Percent(limit.usage), Short(static_cast<double>(limit.connections))),
          StyleOfUsage(limit.usage)};
}

std::vector<Column> Columns(const Model& model) {
  const double all = static_cast<double>(std::max<std::uint64_t>(model.status.connections, 1));
  return {
      {"CONN", 7, 10, Sort::kConnections,
       [](const Source& source) {
         const auto count = source.connections;
         return Cell{count < 1'000'000 ? Thousands(count) : Short(static_cast<double>(count)), {}};
       }},
      {"SHARE",
       5,
       3,
       {},
       [all](const Source& source) {
         const double share = static_cast<double>(source.connections) / all;
         return Cell{Percent(share), share >= 0.5 ? Style::kCritical : share >= 0.25 ? Style::kWarning : Style::kPlain};
       }},
      {"LIMIT", 8, 5, {}, LimitCell},
      {"NEW/S", 6, 9, Sort::kNewRate,
       [](const Source& source) {
         return Cell{Short(source.new_rate), {}};
       }},
      {"HALF%", 6, 6, Sort::kUnreplied,
       [](const Source& source) {
         const double share = source.unreplied_share();
         return Cell{Percent(share), share >= 0.5 && source.unreplied >= 10 ? Style::kWarning : Style::kPlain};
       }},
      {"PORT",
       9,
       4,
       {},
       [&model](const Source& source) {
         const auto detail = model.details.find(source.name);
         const bool known = detail != model.details.end() && !detail->second.top_port.empty();
         return known ? Cell{detail->second.top_port, {}} : Cell{"-", Style::kDim};
       }},
      {"DROP/S", 7, 7, Sort::kDrops,
       [](const Source& source) {
         return Cell{Short(source.drop_rate), source.drop_rate >= 1 ? Style::kWarning : Style::kPlain};
       }},
  };
}

Cell RuleCell(const Source& source) {
  if (source.drops.empty()) return {};
  const Drop& drop = source.drops.front();
  return {drop.rule.empty() ? "by " + drop.via + ", rule unknown" : drop.rule, Style::kDim};
}

std::size_t WidthOf(const std::vector<Column>& columns) {
  std::size_t width = 0;
  for (const Column& column : columns) width += column.width + 1;
  return width;
}

Row Heading(const std::vector<Column>& columns, std::size_t name_columns, std::size_t rule_columns, const View& view) {
  Row row;
  row.Add(Left("SOURCE", name_columns), Style::kHeading);
  for (const Column& column : columns) {
    const bool sorted = column.sort == view.sort;
    row.Add(Right(std::string(column.name) + (sorted ? (view.unicode ? "▼" : "v") : ""), column.width + 1),
            Style::kHeading);
  }
  if (rule_columns > 0) row.Add(Left("  DROPPED BY", rule_columns + 2), Style::kHeading);
  return row;
}

std::string Foreword(const Model& model, const View& view, std::size_t shown) {
  if (shown > 0) return {};
  if (view.filter) return "No source within " + view.filter->ToString() + ". Esc: all of them.";
  return model.status.ready ? "No connection is tracked." : "";
}

}  // namespace

Frame SourceList(const Model& model, const View& view, Size size, std::size_t rows) {
  const auto shown = ShownSources(model, view);
  if (shown.empty() || rows < 2) return {Row().Add(Foreword(model, view, shown.size()))};
  const auto selected = std::ranges::find(shown, view.selected, [](const Source* source) { return source->name; });
  const std::size_t at = selected != shown.end() ? static_cast<std::size_t>(selected - shown.begin()) : shown.size();
  const std::size_t room = rows - 1;
  const std::size_t first = at < shown.size() && at >= room ? at - room + 1 : 0;
  const std::size_t last = std::min(shown.size(), first + room);

  std::size_t name_columns = 15;
  for (std::size_t i = first; i < last; ++i) name_columns = std::max(name_columns, Width(shown[i]->name));
  std::vector<Column> columns = Columns(model);
  while (columns.size() > 1 && name_columns + WidthOf(columns) > size.columns) {
    columns.erase(std::ranges::min_element(columns, {}, &Column::importance));
  }
  const std::size_t used = name_columns + WidthOf(columns);
  const std::size_t rule_columns = used + 2 + kRuleColumnsMin <= size.columns ? size.columns - used - 2 : 0;

  Frame frame = {Heading(columns, name_columns, rule_columns, view)};
  for (std::size_t i = first; i < last; ++i) {
    Row row;
    const bool idle = shown[i]->connections == 0 && shown[i]->drop_rate < 0.05;
    row.Add(Left(shown[i]->name, name_columns), idle ? Style::kDim : Style::kBold);
    for (const Column& column : columns) {
      const Cell cell = column.cell(*shown[i]);
      row.Add(Right(cell.text, column.width + 1), idle ? Style::kDim : cell.style);
    }
    if (rule_columns > 0) {
      const Cell cell = RuleCell(*shown[i]);
      row.Add("  ").Add(Cut(cell.text, rule_columns), cell.style);
    }
    frame.push_back(i == at ? row.Cover(Style::kSelected, size.columns) : row);
  }
  return frame;
}

}  // namespace conntally::top

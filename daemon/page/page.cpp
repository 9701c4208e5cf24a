#include "daemon/page/page.h"

#include <sodium.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/observation/snapshot/trust_verdict.h"
#include "daemon/page/assets.h"

namespace conntally {
namespace {

constexpr std::size_t kRowsMax = 50;  // without a script

std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      case '\'': escaped += "&#39;"; break;
      default: escaped += c;
    }
  }
  return escaped;
}

// The hash of an inline element in CSP's form.
std::string HashSource(std::string_view content) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> hash{};
  crypto_hash_sha256(hash.data(), reinterpret_cast<const unsigned char*>(content.data()), content.size());
  std::array<char, sodium_base64_ENCODED_LEN(crypto_hash_sha256_BYTES, sodium_base64_VARIANT_ORIGINAL)> text{};
  sodium_bin2base64(text.data(), text.size(), hash.data(), hash.size(), sodium_base64_VARIANT_ORIGINAL);
  return fmt::format("'sha256-{}'", text.data());
}

const std::string& ContentSecurityPolicy() {
  static const std::string policy = fmt::format(
      "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; "
      "form-action 'none'; frame-ancestors 'none'",
      HashSource(PageScript()), HashSource(PageStyle()));
  return policy;
}

std::string Share(double part, double whole) { return whole > 0 ? fmt::format("{:.3g} %", part / whole * 100) : "–"; }

std::string TableLine(const Snapshot& snapshot) {
  if (!snapshot.table) return "the kernel does not report it";
  return fmt::format("{} of {} entries", snapshot.table->entries, snapshot.table->limit.value_or(0));
}

std::string FillLine(const Snapshot& snapshot) {
  if (!snapshot.table) return "–";
  return Share(static_cast<double>(snapshot.table->entries), static_cast<double>(snapshot.table->limit.value_or(0)));
}

std::string UntilLine(const Snapshot& snapshot) {
  if (!snapshot.table) return {};
  const double seconds = snapshot.table_seconds_until_full;
  return std::isfinite(seconds) ? fmt::format("full in {:.0f} s", seconds) : "not growing";
}

std::string LossesLine(const Snapshot& snapshot) {
  if (!snapshot.table) return {};
  return fmt::format("kernel: {} dropped (table full), {} evicted early, {} insertions failed",
                     snapshot.table->counter(TableCounter::kDrop), snapshot.table->counter(TableCounter::kEarlyDrop),
                     snapshot.table->counter(TableCounter::kInsertFailed));
}

std::string StateLine(const Snapshot& snapshot) {
  CollectorStatuses others = snapshot.collectors;
  others.erase("conntrack");  // the verdict covers it
  const std::string failures = FailingCollectors(others);
  return TrustVerdict(snapshot.trust, snapshot.collectors) + (failures.empty() ? "" : " " + failures + ".");
}

// The first sources by connections, like the script's table.
std::string SourceRows(const Snapshot& snapshot) {
  std::vector<const ExportedSource*> sources;
  for (const ExportedSource& source : snapshot.exported) sources.push_back(&source);
  const std::size_t count = std::min(sources.size(), kRowsMax);
  std::partial_sort(
      sources.begin(), sources.begin() + static_cast<std::ptrdiff_t>(count), sources.end(),
      [](const ExportedSource* a, const ExportedSource* b) { return a->figures.connections > b->figures.connections; });
  const auto all = static_cast<double>(snapshot.totals.ConnectionsSum());
  std::string rows;
  for (std::size_t i = 0; i < count; ++i) {
    const ExportedSource& source = *sources[i];
    const std::string limit = source.limits.empty() ? "–"
                                                    : fmt::format("{:.0f} % of {}", source.limits.front().usage() * 100,
                                                                  source.limits.front().connections);
    const auto& shares = source.drops.shares;
    const auto most = std::max_element(shares.begin(), shares.end(),
                                       [](const DropShare& a, const DropShare& b) { return a.packets < b.packets; });
    const std::string rule = most != shares.end() ? most->rule : "";
    rows += fmt::format(
        "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td><td "
        "class=\"number\">{:.1f}</td>"
        "<td class=\"number\">{}</td><td>–</td><td class=\"number\">{}</td><td class=\"rule\">{}</td></tr>\n",
        Escaped(source.name), source.figures.connections, Share(static_cast<double>(source.figures.connections), all),
        limit, source.figures.new_rate,
        Share(static_cast<double>(source.figures.unreplied), static_cast<double>(source.figures.connections)),
        source.drops.packets, Escaped(rule));
  }
  return rows;
}

// Replaces {{name}}; in one pass, so that no value can name another.
std::string Filled(std::string_view html, const std::map<std::string_view, std::string>& values) {
  std::string filled;
  for (;;) {
    const std::size_t open = html.find("{{");
    const std::size_t close = open == html.npos ? open : html.find("}}", open);
    if (close == html.npos) return filled.append(html);
    filled.append(html.substr(0, open)).append(values.at(html.substr(open + 2, close - open - 2)));
    html.remove_prefix(close + 2);
  }
}

}  // namespace

http::Response AnswerPage(const Snapshot& snapshot) {
  const auto connections = snapshot.totals.ConnectionsSum();
  const std::map<std::string_view, std::string> values = {
      {"style", std::string(PageStyle())},
      {"script", std::string(PageScript())},
      {"version", Escaped(snapshot.build.version)},
      {"state", Escaped(StateLine(snapshot))},
      {"fill", FillLine(snapshot)},
      {"table", TableLine(snapshot)},
      {"until", UntilLine(snapshot)},
      {"losses", LossesLine(snapshot)},
      {"connections", std::to_string(connections)},
      {"sources", std::to_string(snapshot.sources)},
      {"unreplied", Share(static_cast<double>(snapshot.totals.unreplied), static_cast<double>(connections))},
      {"rows", SourceRows(snapshot)},
  };
  return {.content_type = "text/html; charset=utf-8",
          .body = Filled(PageHtml(), values),
          .headers = {{"Content-Security-Policy", ContentSecurityPolicy()}, {"Referrer-Policy", "no-referrer"}}};
}

}  // namespace conntally

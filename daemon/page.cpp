#include "daemon/page.h"

#include <spdlog/fmt/fmt.h>

#include <string>
#include <string_view>

namespace conntally {
namespace {

std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      default: escaped += c;
    }
  }
  return escaped;
}

std::string TableLine(const Snapshot& snapshot) {
  if (!snapshot.table) return "the kernel does not tell";
  return fmt::format("{} of {} entries", snapshot.table->entries, snapshot.table->limit.value_or(0));
}

std::string StateLine(const Snapshot& snapshot) {
  std::string failures;
  for (const auto& [name, status] : snapshot.collectors) {
    if (!status.success && !status.off) failures += fmt::format("{}: {}. ", name, status.failure);
  }
  if (!failures.empty()) return failures;
  if (!snapshot.trust.ready) return "reading the kernel's table for the first time";
  return snapshot.trust.synced ? "the tallies are as the kernel's table" : "events were lost: comparing with the kernel's table";
}

}  // namespace

http::Response AnswerPage(const Snapshot& snapshot) {
  const std::string body = fmt::format(R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>conntally</title>
<style>:root {{ color-scheme: light dark }} body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem }}</style>
</head>
<body>
<h1>conntally</h1>
<p>Exact connections per source address, from the kernel's conntrack events. Version {}.</p>
<ul>
<li>State: {}</li>
<li>Table: {}</li>
<li>Tallied: {} connections of {} sources</li>
</ul>
<ul>
<li><a href="metrics">/metrics</a> for Prometheus</li>
<li><a href="api/v1/sources?limit=20">/api/v1/sources?sort=connections&amp;limit=20</a>: who holds connections</li>
<li><a href="api/v1/status">/api/v1/status</a>: can these numbers be trusted</li>
<li><a href="healthz">/healthz</a>, <a href="readyz">/readyz</a></li>
</ul>
</body>
</html>
)",
                                       Escaped(snapshot.build.version), Escaped(StateLine(snapshot)), Escaped(TableLine(snapshot)),
                                       snapshot.totals.ConnectionsSum(), snapshot.sources);
  return {.content_type = "text/html; charset=utf-8",
          .body = body,
          .headers = {{"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"}}};
}

}  // namespace conntally

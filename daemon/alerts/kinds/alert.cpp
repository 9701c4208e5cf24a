#include "daemon/alerts/kinds/alert.h"

#include <algorithm>

namespace conntally {
namespace {

constexpr const char* kRunbook = "https://github.com/conntally/conntally/blob/main/config/prometheus/RUNBOOK.md#";

struct Words {
  const char* name;
  const char* summary;
};

constexpr std::array<Words, kAlertKinds> kWords = {{
    {"ConntrackTableNearlyFull", "The connection tracking table is nearly full."},
    {"ConntrackTableFillPredicted", "The connection tracking table will be full soon at its present growth."},
    {"ConntrackTableFull", "The connection tracking table is full: new connections are lost."},
    {"ConntrackInsertFailed", "Connections clash on insertion into the connection tracking table, and are lost."},
    {"SourceNearTableLimit", "One source holds a large share of the connection tracking table."},
    {"SourceNearConnectionLimit", "A source is near its own limit of connections."},
    {"SourceMatchesDropRule", "A source's packets are dropped or rejected by a firewall rule."},
    {"SourceConnectionChurn", "A source opens connections at a high rate."},
    {"SourceScanning", "A source seems to scan: most of its first contacts fail."},
    {"DropRuleSpike", "A drop or reject rule matches far more packets than it lately did."},
    {"ConnectionsUnanswered", "Far more connections than usual get no answer, or are refused."},
    {"RegularSourcesDropped", "Packets of sources that had answered connections here are dropped or rejected."},
    {"HalfOpenFlood", "Far more half-open connections of unproven sources than usual."},
    {"NatPortsNearlyExhausted", "A translated address has few ports left towards one destination."},
    {"ConntallyDegraded", "conntally's figures cannot be fully trusted."},
}};

const Words& WordsOf(AlertKind kind) { return kWords[static_cast<std::size_t>(kind)]; }

}  // namespace

const char* NameOf(AlertKind kind) { return WordsOf(kind).name; }
const char* SummaryOf(AlertKind kind) { return WordsOf(kind).summary; }

std::optional<AlertKind> FindAlertKind(std::string_view name) {
  const auto found = std::find_if(kWords.begin(), kWords.end(), [&](const Words& words) { return words.name == name; });
  if (found == kWords.end()) return std::nullopt;
  return static_cast<AlertKind>(found - kWords.begin());
}

const char* ListOf(AlertKind kind) {
  switch (kind) {
    case AlertKind::kSourceMatchesDropRule:
    case AlertKind::kRegularSourcesDropped: return "/api/v1/sources?sort=drops";
    case AlertKind::kSourceConnectionChurn: return "/api/v1/sources?sort=new_rate";
    case AlertKind::kSourceScanning:
    case AlertKind::kHalfOpenFlood: return "/api/v1/sources?sort=unreplied";
    case AlertKind::kDropRuleSpike: return "/api/v1/rules";
    case AlertKind::kNatPortsNearlyExhausted: return "/api/v1/nat";
    default: return "/api/v1/sources?sort=connections";
  }
}

std::string RunbookUrl(AlertKind kind) {
  std::string anchor = NameOf(kind);
  std::transform(anchor.begin(), anchor.end(), anchor.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return kRunbook + anchor;
}

const char* NameOf(Severity severity) {
  switch (severity) {
    case Severity::kInfo: return "info";
    case Severity::kWarning: return "warning";
    case Severity::kCritical: return "critical";
  }
  return "";
}

const char* NameOf(AlertState state) {
  switch (state) {
    case AlertState::kInactive: return "inactive";
    case AlertState::kPending: return "pending";
    case AlertState::kFiring: return "firing";
    case AlertState::kResolved: return "resolved";
  }
  return "";
}

}  // namespace conntally

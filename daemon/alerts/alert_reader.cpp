#include "daemon/alerts/alert_reader.h"

#include <set>

namespace conntally {
namespace {

using Kind = AlertKind;

bool IsTableKind(Kind kind) {
  return kind == Kind::kConntrackTableNearlyFull || kind == Kind::kConntrackTableFillPredicted ||
         kind == Kind::kConntrackTableFull || kind == Kind::kConntrackInsertFailed ||
         kind == Kind::kSourceNearTableLimit;
}

bool IsTallyKind(Kind kind) {
  return kind == Kind::kSourceNearTableLimit || kind == Kind::kSourceNearConnectionLimit ||
         kind == Kind::kSourceConnectionChurn || kind == Kind::kSourceScanning ||
         kind == Kind::kConnectionsUnanswered || kind == Kind::kHalfOpenFlood;
}

bool IsDropKind(Kind kind) {
  return kind == Kind::kSourceMatchesDropRule || kind == Kind::kRegularSourcesDropped || kind == Kind::kDropRuleSpike;
}

const std::set<std::string> kDropCollectors = {"drops", "ebpf", "nflog", "kernel_log"};
const std::set<std::string> kRuleCollectors = {NameOf(RuleBackend::kNftables), NameOf(RuleBackend::kIptablesLegacy),
                                               NameOf(RuleBackend::kIp6tablesLegacy)};

const std::set<std::string> kNatCollectors = {
    "nat", NameOf(RuleBackend::kNftables), NameOf(RuleBackend::kIptablesLegacy), NameOf(RuleBackend::kIp6tablesLegacy)};

std::string Failures(const AlertEvidence& evidence, const std::set<std::string>& collectors) {
  std::string text;
  for (const auto& [name, failure] : evidence.failing) {
    if (collectors.contains(name)) text += (text.empty() ? "" : "; ") + name + ": " + failure;
  }
  return text;
}

// Why the figures of a kind may be wrong.
std::string DegradedBy(Kind kind, const AlertEvidence& evidence) {
  if (kind == Kind::kConntallyDegraded) return {};
  if (kind == Kind::kSourceMatchesDropRule || kind == Kind::kRegularSourcesDropped)
    return Failures(evidence, kDropCollectors);
  if (kind == Kind::kDropRuleSpike) return Failures(evidence, kRuleCollectors);
  if (kind == Kind::kNatPortsNearlyExhausted) return Failures(evidence, kNatCollectors);
  std::string text = IsTableKind(kind) ? Failures(evidence, {"table"}) : Failures(evidence, {"conntrack"});
  if (IsTallyKind(kind) && !evidence.synced) {
    text += text.empty() ? "" : "; ";
    text += "the tallies are known to be stale";
  }
  return text;
}

}  // namespace

AlertReadings AlertReader::Read(const AlertRules& rules, const AlertEvidence& evidence) {
  if (first_look_ == SteadyTime{}) first_look_ = evidence.now;
  const bool drops_read = evidence.now - first_look_ >= kDropsReadAfter;
  const bool attempts_seen = evidence.now - first_look_ >= kAttemptsSeenAfter;
  AlertReadings result;
  for (std::size_t i = 0; i < kAlertKinds; ++i) {
    const auto kind = static_cast<Kind>(i);
    const bool of_answers = kind == Kind::kConnectionsUnanswered || kind == Kind::kHalfOpenFlood;
    result.blind[i] = (IsTableKind(kind) && !evidence.table) || (IsTallyKind(kind) && !evidence.ready) ||
                      (kind == Kind::kDropRuleSpike && !evidence.rules) || (of_answers && !evidence.answers) ||
                      (kind == Kind::kHalfOpenFlood && !attempts_seen) ||
                      (kind == Kind::kNatPortsNearlyExhausted && !evidence.nat) || (IsDropKind(kind) && !drops_read);
    result.degraded[i] = DegradedBy(kind, evidence);
  }
  table_.Read(rules, evidence, result.readings);
  if (evidence.table) losses_.Read(evidence, result.readings);
  NatJudge::Read(rules, evidence, result.readings);
  sources_.Read(rules, evidence, result.readings);
  ScanJudge::Read(rules, evidence, result.readings);
  drops_.Read(rules, evidence, result.readings);
  spikes_.Read(rules, evidence, drops_, result.readings);
  answers_.Read(rules, evidence, result.readings);
  trust_.Read(evidence, result.readings);
  return result;
}

nlohmann::json AlertReader::Save() const {
  return {{"losses", losses_.Save()},
          {"sources", sources_.Save()},
          {"drops", drops_.Save()},
          {"spikes", spikes_.Save()},
          {"answers", answers_.Save()}};
}

std::string AlertReader::Restore(const nlohmann::json& saved) {
  constexpr double kPastAgeMax = 3600;  // an older past says little about the present
  if (!saved.is_object()) return "the saved past is no object";
  const auto number = saved.find("age_seconds");
  const double age = number != saved.end() && number->is_number() ? number->get<double>() : kPastAgeMax + 1;
  const auto continues = saved.find("continues");
  std::string why;
  const auto restore = [&](const char* name, auto&& take) {
    const auto part = saved.find(name);
    if (part == saved.end()) return;
    if (const std::string of_part = take(*part); !of_part.empty()) why += (why.empty() ? "" : "; ") + of_part;
  };
  if (continues != saved.end() && continues->is_boolean() && continues->get<bool>())
    restore("losses", [&](const auto& part) { return losses_.Restore(part, age); });
  if (age > kPastAgeMax) return why;
  restore("sources", [&](const auto& part) { return sources_.Restore(part); });
  restore("drops", [&](const auto& part) { return drops_.Restore(part); });
  restore("spikes", [&](const auto& part) { return spikes_.Restore(part); });
  restore("answers", [&](const auto& part) { return answers_.Restore(part); });
  return why;
}

std::size_t AlertReader::memory_bytes() const {
  return sources_.bytes() + drops_.bytes() + spikes_.bytes() + answers_.bytes();
}

std::uint64_t AlertReader::turned_away() const {
  return sources_.turned_away() + drops_.turned_away() + spikes_.turned_away();
}

}  // namespace conntally

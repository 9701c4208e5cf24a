// From evidence to readings: what each look says about each subject, in the units of its alert's thresholds. Remembers
// what rates need: counters' rises, batches of drops, rules' pasts, the connections that sources had a minute ago.
//
// Pure but for that memory. Threads: one owner.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "daemon/alerts/alert_engine.h"
#include "daemon/alerts/alert_rules.h"
#include "daemon/alerts/evidence.h"
#include "daemon/alerts/rate_windows.h"
#include "daemon/alerts/rule_spikes.h"

namespace conntally {

class AlertReader {
 public:
  AlertReadings Read(const AlertRules& rules, const AlertEvidence& evidence);

  // What outlives the process. Restore takes what Save gave, and with it `continues` and `age_seconds`
  // (AlertService::Restore).
  nlohmann::json Save() const { return nlohmann::json::object(); }
  std::string Restore(const nlohmann::json&) { return {}; }

  std::uint64_t turned_away() const { return spikes_.rules_turned_away() + drop_rates_forgotten_; }

 private:
  // Pairs of a source and a rule: as many as one look may have, and then some that the last looks had.
  static constexpr std::size_t kDropRatesMax = 8000;
  static_assert(kDropRatesMax > AlertEvidence::kRankedMax * (RuleShares::kNamesMax + 1));
  static constexpr std::chrono::seconds kGrowthWindow{60};
  static constexpr std::chrono::seconds kGrowthStep{5};

  using Readings = std::vector<AlertReading>;
  struct DropRate {
    BatchedRate rate;
    SteadyTime last_seen;
  };

  void ReadTable(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);
  void ReadLosses(const AlertEvidence& evidence, Readings& into);
  void ReadSources(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);
  void ReadDrops(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);
  void ReadRules(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);
  void ReadTrust(const AlertEvidence& evidence, Readings& into);
  void RememberSources(const AlertEvidence& evidence);
  std::string Drivers(const AlertEvidence& evidence) const;

  RisenLately drops_{AlertRules::kLossWindow};
  RisenLately early_drops_{AlertRules::kLossWindow};
  RisenLately insert_failed_{AlertRules::kLossWindow};
  RisenLately full_messages_{AlertRules::kLossWindow};
  RisenLately events_lost_{AlertRules::kLossWindow};
  std::map<std::pair<std::string, std::string>, DropRate> drop_rates_;
  std::uint64_t drop_rates_forgotten_ = 0;  // before their time
  RuleSpikes spikes_;
  std::shared_ptr<const RuleFigures> last_rules_;
  std::map<std::string, SteadyTime> wrong_since_;  // what is wrong with our data

  struct Remembered {
    SteadyTime when;
    std::map<std::string, std::int64_t> connections;
  };
  std::deque<Remembered> remembered_;
};

}  // namespace conntally

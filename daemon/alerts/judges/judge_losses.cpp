#include "daemon/alerts/judges/judge_losses.h"

#include "daemon/alerts/judges/judge_nat.h"

namespace conntally {

void LossJudge::Explain(const AlertEvidence& evidence, std::uint64_t insert_failed) {
  const bool exhausted = evidence.nat && NatJudge::AnyExhausted(*evidence.nat);
  if (last_ && insert_failed > last_->insert_failed && !exhausted)
    unexplained_.push_back({evidence.now, insert_failed - last_->insert_failed});
  while (!unexplained_.empty()) {
    const Unexplained& first = unexplained_.front();
    const bool looked = evidence.nat && evidence.nat->began >= first.when;
    if (!looked && evidence.now - first.when < (evidence.nat ? kExplainedWithin : kFirstLookWithin)) break;
    if (!looked || !NatJudge::AnyExhausted(*evidence.nat)) clashes_.Add(first.when, clashed_ += first.by);
    unexplained_.pop_front();
  }
  clashes_.Add(evidence.now, clashed_);
}

// The kernel counts each entry that it could not insert as a drop as well (nf_conntrack_core.c, nf_ct_resolve_clash):
// only the other drops were for lack of room.
void LossJudge::Read(const AlertEvidence& evidence, Readings& into) {
  const TableStatistics& table = *evidence.table;
  const Counters now{table.counter(TableCounter::kDrop), table.counter(TableCounter::kEarlyDrop),
                     table.counter(TableCounter::kInsertFailed)};
  if (last_ && away_seconds_ > 0 && away_until_ == SteadyTime{}) {
    away_until_ = evidence.now + AlertRules::kLossWindow;
    drops_.Add(evidence.now, last_->drops);
    early_drops_.Add(evidence.now, last_->early_drops);
    insert_failed_.Add(evidence.now, last_->insert_failed);
  }
  Explain(evidence, now.insert_failed);
  last_ = now;
  drops_.Add(evidence.now, now.drops);
  early_drops_.Add(evidence.now, now.early_drops);
  insert_failed_.Add(evidence.now, now.insert_failed);
  full_messages_.Add(evidence.now, evidence.table_full_messages);
  const std::string since = evidence.now <= away_until_
                                ? fmt::format("In the last {} s, or in the {} before while conntally did not run,",
                                              AlertRules::kLossWindow.count(), Span(away_seconds_))
                                : fmt::format("In the last {} s", AlertRules::kLossWindow.count());
  const std::uint64_t failed = insert_failed_.sum();
  const std::uint64_t dropped = drops_.sum() > failed ? drops_.sum() - failed : 0;
  const std::uint64_t lost = dropped + early_drops_.sum() + full_messages_.sum();
  if (lost > 0) {
    into.push_back({{AlertKind::kConntrackTableFull, {}, {}},
                    static_cast<double>(lost),
                    fmt::format("{} {} packets were dropped and {} entries evicted because the table was full; the "
                                "kernel logged this {} times. The table has {} of {} entries now.{}",
                                since, dropped, early_drops_.sum(), full_messages_.sum(), table.entries,
                                table.limit.value_or(0), MostConnections(evidence)),
                    {{"entries", static_cast<double>(table.entries)},
                     {"limit", static_cast<double>(table.limit.value_or(0))},
                     {"drops", static_cast<double>(dropped)},
                     {"early_drops", static_cast<double>(early_drops_.sum())},
                     {"table_full_messages", static_cast<double>(full_messages_.sum())}}});
  }
  if (const std::uint64_t clashes = clashes_.sum(); clashes > 0) {
    into.push_back({{AlertKind::kConntrackInsertFailed, {}, {}},
                    static_cast<double>(clashes),
                    fmt::format("{} {} entries could not be inserted because entries of the same tuple existed; the "
                                "table has {} of {} entries.",
                                since, clashes, table.entries, table.limit.value_or(0)),
                    {{"insert_failed", static_cast<double>(clashes)}}});
  }
}

nlohmann::json LossJudge::Save() const {
  auto saved = nlohmann::json::object();
  if (last_)
    saved = {{"drops", last_->drops}, {"early_drops", last_->early_drops}, {"insert_failed", last_->insert_failed}};
  return saved;
}

std::string LossJudge::Restore(const nlohmann::json& saved, double age_seconds) {
  if (saved.empty()) return {};
  Counters counters;
  for (const auto& [name, counter] : {std::pair{"drops", &counters.drops},
                                      {"early_drops", &counters.early_drops},
                                      {"insert_failed", &counters.insert_failed}}) {
    if (!saved.is_object() || !saved.contains(name) || !saved[name].is_number_unsigned())
      return fmt::format("the kernel's counter {} is not a number", name);
    *counter = saved[name].get<std::uint64_t>();
  }
  last_ = counters;
  away_seconds_ = std::max(age_seconds, 1.0);
  return {};
}

}  // namespace conntally

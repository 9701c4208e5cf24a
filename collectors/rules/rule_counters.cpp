#include "collectors/rules/rule_counters.h"

#include <algorithm>

#include "collectors/system/shown_text.h"

namespace conntally {
namespace {

constexpr std::size_t kLabelBytesMax = 200;

// For a Rule, or a rule that came and went.
template <typename AnyRule>
std::string GroupKey(const AnyRule& rule) {
  std::string key = NameOf(rule.family);
  key.append(1, '\0')
      .append(rule.table)
      .append(1, '\0')
      .append(rule.chain)
      .append(1, '\0')
      .append(RuleLabel(rule.text));
  return key;
}

std::string PolicyKey(const RuleChain& chain) {
  std::string key = NameOf(chain.family);
  key.append(1, '\0').append(chain.table).append(1, '\0').append(chain.name);
  return key;
}

// The counts since `last`.
RuleCounter Delta(const RuleCounter& now, const RuleCounter& last) {
  if (now.packets < last.packets || now.bytes < last.bytes) return now;
  return {now.packets - last.packets, now.bytes - last.bytes};
}

void Accumulate(RuleCounter& total, const RuleCounter& delta) {
  total.packets += delta.packets;
  total.bytes += delta.bytes;
}

}  // namespace

std::string RuleLabel(const std::string& text) {
  std::string label;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t length = Utf8Length(rest);
    const std::string_view piece = length == 0 ? std::string_view("?") : rest.substr(0, length);
    if (label.size() + piece.size() > kLabelBytesMax) break;
    label += piece;
    rest.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return label;
}

void RuleCounters::Update(FirewallReading snapshot, Time now) {
  auto figures = std::make_shared<RuleFigures>();
  for (auto& [which, read] : snapshot.backends) {
    BackendFigures& of_backend = figures->backends[which];
    const auto before = figures_->backends.find(which);
    if (!read.success && read.present && before != figures_->backends.end()) {
      of_backend = before->second;  // keeps reporting the old data, marked as not fresh
      of_backend.snapshot.success = false;
      of_backend.snapshot.failure = read.failure;
      of_backend.snapshot.duration_seconds = read.duration_seconds;
      continue;
    }
    of_backend.snapshot = std::move(read);
    if (!of_backend.snapshot.success) continue;
    UpdateBackend(backends_[which], of_backend.snapshot, of_backend, now);
    of_backend.snapshot.changes = {};  // already counted
  }
  figures->ipsets = std::move(snapshot.ipsets);
  ChooseExported(*figures);
  figures_ = std::move(figures);
}

void RuleCounters::UpdateBackend(Backend& backend, const BackendReading& snapshot, BackendFigures& figures, Time now) {
  const RuleChanges& changes = snapshot.changes;
  const bool told = changes.before != nullptr && changes.before == backend.ruleset;
  if (told) TakeFinals(backend, changes);
  if (backend.ruleset != snapshot.ruleset) {
    if (backend.ruleset != nullptr) {
      backend.changes +=
          static_cast<std::uint32_t>(snapshot.ruleset->generation - backend.ruleset->generation);  // modulo 2^32
    }
    Match(backend, snapshot.ruleset, now);
    Forget(backend, now);
  }
  if (told) TakePassed(backend, changes);
  figures.changes = backend.changes;
  figures.totals.resize(backend.by_rule.size());
  for (std::size_t i = 0; i < backend.by_rule.size(); ++i) {
    Entry& entry = *backend.by_rule[i];
    entry.last_seen = now;
    RuleTotal& total = figures.totals[i];
    total.first_handle = entry.first_handle;
    total.occurrence = entry.occurrence;
    total.series = entry.series;
    const std::optional<RuleCounter> counter = i < snapshot.counters.size() ? snapshot.counters[i] : std::nullopt;
    if (!counter) continue;
    if (told && i < changes.begun.size() && changes.begun[i]) {
      const bool restored = changes.begun[i]->packets > entry.packets_of_gone / 8;
      entry.last = restored ? *changes.begun[i] : RuleCounter{};
    }
    Accumulate(entry.total, entry.counted ? Delta(*counter, entry.last) : *counter);
    entry.last = *counter;
    entry.packets_of_gone = 0;
    entry.counted = true;
    total.counter = entry.total;
  }
  UpdatePolicies(backend, snapshot, figures);
}

void RuleCounters::TakeFinals(Backend& backend, const RuleChanges& changes) {
  for (std::size_t i = 0; i < changes.finals.size() && i < backend.by_rule.size(); ++i) {
    Entry& entry = *backend.by_rule[i];
    if (!changes.finals[i] || !entry.counted) continue;
    const RuleCounter counted = Delta(*changes.finals[i], entry.last);
    Accumulate(entry.total, counted);
    entry.packets_of_gone = counted.packets;
    entry.last = *changes.finals[i];
  }
}

// Credits the first remembered rule with the same text: which of several it was is unknown.
void RuleCounters::TakePassed(Backend& backend, const RuleChanges& changes) {
  for (const RuleChanges::Passed& passed : changes.passed) {
    const auto group = backend.groups.find(GroupKey(passed));
    if (group == backend.groups.end()) continue;
    const auto there =
        std::find_if(group->second.begin(), group->second.end(), [](const auto& entry) { return entry->present; });
    Entry& entry = there != group->second.end() ? **there : *group->second.front();
    Accumulate(entry.total, passed.counted);
    entry.packets_of_gone += passed.counted.packets;
  }
}

void RuleCounters::BeginAnew() {
  for (auto& [which, backend] : backends_) {
    for (const auto& [key, group] : backend.groups) {
      for (const auto& entry : group) entry->last = {};
    }
    for (auto& [key, policy] : backend.policies) policy.last = {};
    backend.ruleset = nullptr;
  }
}

void RuleCounters::ReadAnew() {
  for (auto& [which, backend] : backends_) backend.ruleset = nullptr;
}

// Which series each rule of a changed ruleset goes on with: among those that say the same the one that has its handle,
// else the first that is left.
void RuleCounters::Match(Backend& backend, const std::shared_ptr<const Ruleset>& ruleset, Time now) {
  for (auto& [key, group] : backend.groups) {
    for (const auto& entry : group) entry->present = false;
  }
  const std::vector<Rule>& rules = ruleset->rules;
  backend.ruleset = ruleset;
  backend.by_rule.assign(rules.size(), nullptr);
  std::vector<Group*> groups(rules.size());
  std::unordered_map<Group*, std::unordered_map<std::uint64_t, Entry*>> handles;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    groups[i] = &backend.groups[GroupKey(rules[i])];
    if (rules[i].handle == 0 || groups[i]->empty()) continue;
    auto& by_handle = handles[groups[i]];
    if (by_handle.empty()) {
      for (const auto& entry : *groups[i]) by_handle[entry->handle] = entry.get();
    }
    const auto entry = by_handle.find(rules[i].handle);
    if (entry == by_handle.end() || entry->second->present) continue;
    entry->second->present = true;
    backend.by_rule[i] = entry->second;
  }
  std::unordered_map<Group*, std::size_t> next_of;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (backend.by_rule[i] != nullptr) continue;
    Group& group = *groups[i];
    std::size_t& next = next_of[&group];
    while (next < group.size() && group[next]->present) ++next;
    if (next == group.size()) {
      auto added = std::make_unique<Entry>();
      added->first_handle = rules[i].handle;
      added->occurrence = static_cast<std::uint32_t>(group.size());
      added->series = ++series_;
      group.push_back(std::move(added));
    }
    Entry& entry = *group[next];
    entry.present = true;
    entry.handle = rules[i].handle;
    entry.last_seen = now;
    backend.by_rule[i] = &entry;
  }
}

// Only from the end of a group, so that occurrences do not change.
void RuleCounters::Forget(Backend& backend, Time now) {
  std::vector<Time> gone;
  for (const auto& [key, group] : backend.groups) {
    for (const auto& entry : group) {
      if (entry->present) continue;
      gone.push_back(entry->last_seen);
      entry->packets_of_gone = 0;  // a rule that comes back later is not its immediate successor
    }
  }
  Time oldest = now - kForgetAfter;
  if (gone.size() > kRememberedMax) {
    const auto first_kept = gone.end() - static_cast<std::ptrdiff_t>(kRememberedMax);
    std::nth_element(gone.begin(), first_kept, gone.end());
    oldest = std::max(oldest, *first_kept);
  }
  for (auto group = backend.groups.begin(); group != backend.groups.end();) {
    while (!group->second.empty() && !group->second.back()->present && group->second.back()->last_seen < oldest)
      group->second.pop_back();
    group = group->second.empty() ? backend.groups.erase(group) : std::next(group);
  }
}

void RuleCounters::UpdatePolicies(Backend& backend, const BackendReading& snapshot, BackendFigures& figures) {
  const std::vector<RuleChain>& chains = snapshot.ruleset->chains;
  figures.policy_totals.resize(chains.size());
  std::unordered_map<std::string, Policy> policies;
  for (std::size_t i = 0; i < chains.size(); ++i) {
    if (i >= snapshot.policies.size() || !snapshot.policies[i]) continue;
    const RuleCounter& counter = *snapshot.policies[i];
    std::string key = PolicyKey(chains[i]);
    const auto known = backend.policies.find(key);
    Policy& policy = policies[key];
    if (known != backend.policies.end()) policy = std::move(known->second);
    RuleCounter& total = policy.totals[chains[i].policy];
    Accumulate(total, known != backend.policies.end() ? Delta(counter, policy.last) : counter);
    policy.last = counter;
    figures.policy_totals[i] = total;
  }
  // Missing chains may come back; only the bound drops them.
  if (backend.policies.size() + policies.size() <= kRememberedMax) {
    for (auto& [key, policy] : backend.policies) policies.try_emplace(key, std::move(policy));
  }
  backend.policies = std::move(policies);
}

void RuleCounters::ChooseExported(RuleFigures& figures) {
  std::uint64_t left = series_max_, cut = 0;
  for (const bool drops : {true, false}) {
    for (auto& [which, backend] : figures.backends) {
      for (std::size_t i = 0; i < backend.totals.size(); ++i) {
        const Verdict verdict = backend.snapshot.ruleset->rules[i].verdict;
        const bool is_drop = verdict == Verdict::kDrop || verdict == Verdict::kReject;
        if (is_drop != drops || !backend.totals[i].counter) continue;
        backend.totals[i].exported = left > 0;
        left > 0 ? --left : ++cut;
      }
    }
  }
  if (cut > cut_) turned_away_ += cut - cut_;
  cut_ = cut;
  figures.series_turned_away = turned_away_;
}

}  // namespace conntally

#include "daemon/alerts/evidence/regulars.h"

namespace conntally {

void Regulars::Add(const std::vector<SourceFigures>& figures, SteadyTime now) {
  if (std::exchange(just_restored_, false)) {
    for (auto& [source, known] : sources_) known.last_seen = now;
  }
  for (const SourceFigures& each : figures) {
    auto found = sources_.find(each.source);
    if (found == sources_.end()) {
      if (sources_.size() >= kSourcesMax) MakeRoom();
      found = sources_.emplace(each.source, Known{}).first;
    }
    found->second.minutes = std::max({found->second.minutes, each.regular_minutes, std::uint8_t{1}});
    found->second.last_seen = now;
  }
  std::erase_if(sources_, [&](const auto& entry) { return now - entry.second.last_seen > kForgottenAfter; });
}

// Drops an eighth at once, so that this is rare.
void Regulars::MakeRoom() {
  std::vector<std::pair<SteadyTime, IpAddress>> oldest;
  for (const auto& [source, known] : sources_) oldest.emplace_back(known.last_seen, source);
  const auto last = oldest.begin() + static_cast<std::ptrdiff_t>(oldest.size() / 8);
  std::nth_element(oldest.begin(), last, oldest.end());
  for (auto each = oldest.begin(); each != last; ++each) sources_.erase(each->second);
}

std::uint8_t Regulars::MinutesOf(const IpAddress& source) const {
  const auto found = sources_.find(source);
  return found == sources_.end() ? std::uint8_t{0} : found->second.minutes;
}

nlohmann::json Regulars::Save() const {
  std::vector<std::pair<SteadyTime, IpAddress>> latest;
  for (const auto& [source, known] : sources_) latest.emplace_back(known.last_seen, source);
  if (latest.size() > kSavedMax) {
    std::nth_element(latest.begin(), latest.begin() + kSavedMax, latest.end(), std::greater{});
    latest.resize(kSavedMax);
  }
  auto saved = nlohmann::json::object();
  for (const auto& [when, source] : latest) saved[source.ToString()] = sources_.at(source).minutes;
  return saved;
}

std::string Regulars::Restore(const nlohmann::json& saved) {
  if (!saved.is_object() || saved.size() > kSavedMax) return "the regular sources are no such list";
  std::map<IpAddress, Known> sources;
  for (const auto& [name, minutes] : saved.items()) {
    const auto address = IpAddress::Parse(name);
    if (!address || !minutes.is_number_unsigned() || minutes.get<std::uint64_t>() > UINT8_MAX)
      return "a regular source is not readable";
    sources[*address].minutes = minutes.get<std::uint8_t>();
  }
  sources_ = std::move(sources);
  just_restored_ = true;
  return {};
}

}  // namespace conntally

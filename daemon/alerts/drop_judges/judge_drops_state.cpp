// The part of DropJudge that a restart keeps.
#include "daemon/alerts/drop_judges/judge_drops.h"

namespace conntally {

nlohmann::json DropJudge::Save() const {
  auto services = nlohmann::json::array();
  for (const auto& [service, last] : services_) services.push_back({service.first, service.second});
  return {{"regulars", regulars_.Save()}, {"services", services}, {"rules", pasts_.Save()}};
}

std::string DropJudge::Restore(const nlohmann::json& saved) {
  if (!saved.is_object()) return "what regular sources did is no such list";
  const auto services = saved.value("services", nlohmann::json::array());
  if (!services.is_array() || services.size() > kServicesMax) return "the ports that answered are no such list";
  std::map<std::pair<std::uint8_t, std::uint16_t>, SteadyTime> known;
  for (const auto& each : services) {
    if (!each.is_array() || each.size() != 2 || !each[0].is_number_unsigned() || !each[1].is_number_unsigned())
      return "a port that answered is not readable";
    known[{each[0].get<std::uint8_t>(), each[1].get<std::uint16_t>()}] = {};
  }
  RulePasts pasts;
  if (saved.contains("rules") && !pasts.Restore(saved["rules"])) return "what rules did is no such list";
  if (std::string why = regulars_.Restore(saved.value("regulars", nlohmann::json::object())); !why.empty()) return why;
  services_ = std::move(known);
  pasts_ = std::move(pasts);
  just_restored_ = true;
  return {};
}

std::size_t DropJudge::bytes() const {
  return regulars_.bytes() + drop_rates_.size() * 300 + episodes_.size() * (sizeof(Episode) + 128) +
         services_.size() * 64 + own_destinations_.bytes() + pasts_.bytes();
}

}  // namespace conntally

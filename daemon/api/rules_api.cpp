#include "daemon/api/rules_api.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "daemon/api/values/query_values.h"

namespace conntally {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kJson = "application/json; charset=utf-8";
constexpr std::size_t kRulesPerPiece = 128;

Json CounterJson(const std::optional<RuleCounter>& counter) {
  if (!counter) return nullptr;
  return {{"packets", counter->packets}, {"bytes", counter->bytes}};
}

const char* NameOf(RuleLimit::Kind kind) {
  switch (kind) {
    case RuleLimit::Kind::kConnlimit: return "connlimit";
    case RuleLimit::Kind::kNftCtCount: return "nft";
    case RuleLimit::Kind::kHashlimit: return "hashlimit";
    case RuleLimit::Kind::kLimit: return "limit";
  }
  return "";
}

const char* NameOf(RuleLimit::Per per) {
  switch (per) {
    case RuleLimit::Per::kSource: return "source";
    case RuleLimit::Per::kDestination: return "destination";
    case RuleLimit::Per::kEverything: return "everything";
    case RuleLimit::Per::kOther: return "other";
  }
  return "";
}

Json LimitJson(const RuleLimit& limit, const Rule& rule) {
  Json json = {{"origin", NameOf(limit.kind)},
               {"per", NameOf(limit.per)},
               {"matches", limit.matches_above ? "above" : "within"}};
  if (limit.kind == RuleLimit::Kind::kConnlimit || limit.kind == RuleLimit::Kind::kNftCtCount) {
    json["connections"] = limit.connections;
  } else {
    json["rate_per_second"] = limit.rate_per_second;
    json["of"] = limit.rate_of_bytes ? "bytes" : "packets";
    json["burst"] = limit.burst;
  }
  if (limit.per == RuleLimit::Per::kSource || limit.per == RuleLimit::Per::kDestination) {
    if (rule.family != RuleFamily::kIp6) json["ipv4_prefix"] = limit.ipv4_prefix;
    if (rule.family != RuleFamily::kIp) json["ipv6_prefix"] = limit.ipv6_prefix;
  }
  if (!limit.set.empty()) json["set"] = limit.set;
  // The family is implied by the limit.
  const bool narrowed = std::any_of(rule.conditions.begin(), rule.conditions.end(), [](const RuleCondition& condition) {
    return condition.kind != RuleCondition::Kind::kFamily;
  });
  json["narrowed"] = narrowed || !rule.fully_understood;
  return json;
}

Json RuleJson(const Rule& rule, const RuleTotal& total, const std::optional<RuleCounter>& kernel, Json sources) {
  Json limits = Json::array();
  for (const RuleLimit& limit : rule.limits) limits.push_back(LimitJson(limit, rule));
  Json json = {{"backend", NameOf(rule.backend)},
               {"family", NameOf(rule.family)},
               {"table", rule.table},
               {"chain", rule.chain},
               {"handle", rule.handle != 0 ? Json(rule.handle) : Json(nullptr)},
               {"position", rule.position},
               {"rule", rule.text},
               {"verdict", NameOf(rule.verdict)},
               {"comment", rule.comment},
               {"counter", CounterJson(total.counter)},
               {"kernel_counter", CounterJson(kernel)},
               {"exported", total.exported},
               {"fully_understood", rule.fully_understood},
               {"limits", std::move(limits)},
               {"sources", std::move(sources)}};
  if (!rule.jump_target.empty()) json["jump_target"] = rule.jump_target;
  return json;
}

// The number of addresses in each named set, and their counters' sum; not the addresses.
void AddSets(Json& json, const std::shared_ptr<const std::vector<AddressSet>>& sets) {
  if (!sets) return;
  for (const AddressSet& set : *sets) {
    std::optional<RuleCounter> sum;
    for (const SetElement& element : set.elements) {
      if (!element.counter) continue;
      if (!sum) sum.emplace();
      sum->packets += element.counter->packets;
      sum->bytes += element.counter->bytes;
    }
    json.push_back({{"set", set.name},
                    {"kind", set.ipset ? "ipset" : "nftables"},
                    {"family", NameOf(set.family)},
                    {"table", set.table},
                    {"elements", set.elements.size()},
                    {"complete", set.complete},
                    {"counter", CounterJson(sum)}});
  }
}

// The answer in pieces, so that a long one neither fills memory nor delays a scrape.
class RulesStream {
 public:
  using NameOf = std::function<std::string(const IpAddress&)>;

  RulesStream(std::shared_ptr<const RuleFigures> figures, RuleSources sources, NameOf name_of, std::size_t limit)
      : figures_(std::move(figures)), sources_(std::move(sources)), name_of_(std::move(name_of)), left_(limit) {
    backend_ = figures_->backends.begin();
  }

  std::string NextPiece() {
    if (ended_) return {};
    std::string piece = first_ ? R"({"rules": [)" : "";
    for (std::size_t count = 0; count < kRulesPerPiece; ++count) {
      while (backend_ != figures_->backends.end() && next_ == backend_->second.totals.size()) ++backend_, next_ = 0;
      if (backend_ == figures_->backends.end() || left_ == 0) {
        ended_ = true;
        return piece += "], " + Ending();
      }
      const BackendFigures& of_backend = backend_->second;
      const auto& kernel = of_backend.snapshot.counters;
      if (!first_) piece += ",\n";
      // Texts and comments may hold any bytes.
      const Rule& rule = of_backend.snapshot.ruleset->rules[next_];
      piece += RuleJson(rule, of_backend.totals[next_], next_ < kernel.size() ? kernel[next_] : std::nullopt,
                        SourcesJson(rule))
                   .dump(-1, ' ', false, Json::error_handler_t::replace);
      first_ = false;
      ++next_;
      --left_;
    }
    return piece;
  }

 private:
  Json SourcesJson(const Rule& rule) const {
    Json json = Json::array();
    for (const RuleSource& source : sources_.Of(rule)) {
      json.push_back(
          {{"source", name_of_(source.source)}, {"packets", source.packets}, {"via", conntally::NameOf(source.via)}});
    }
    return json;
  }

  std::string Ending() const {
    std::size_t total = 0;
    Json backends = Json::object(), sets = Json::array();
    AddSets(sets, figures_->ipsets);
    for (const auto& [backend, of_backend] : figures_->backends) {
      total += of_backend.totals.size();
      const BackendReading& snapshot = of_backend.snapshot;
      AddSets(sets, snapshot.sets);
      backends[conntally::NameOf(backend)] = {
          {"present", snapshot.present}, {"success", snapshot.success}, {"rules", of_backend.totals.size()}};
      if (!snapshot.failure.empty()) backends[conntally::NameOf(backend)]["failure"] = snapshot.failure;
    }
    return Json{{"total", total}, {"backends", std::move(backends)}, {"sets", std::move(sets)}}
               .dump(-1, ' ', false, Json::error_handler_t::replace)
               .substr(1) +
           "\n";
  }

  const std::shared_ptr<const RuleFigures> figures_;
  const RuleSources sources_;
  const NameOf name_of_;
  std::size_t left_;
  std::map<RuleBackend, BackendFigures>::const_iterator backend_;
  std::size_t next_ = 0;
  bool first_ = true;
  bool ended_ = false;
};

}  // namespace

http::Response AnswerRules(std::shared_ptr<const RuleFigures> figures, RuleSources sources,
                           std::function<std::string(const IpAddress&)> name_of, const http::Request& request) {
  std::size_t limit = kLimitMax;
  bool limited = false;
  for (const auto& [name, value] : request.query) {
    if (name != "limit") return http::ErrorResponse(400, "no parameter '" + name + "'; there is limit");
    const auto parsed = ParseLimit(value);
    if (limited || !parsed)
      return http::ErrorResponse(400, limited ? "'limit' is given twice" : parsed.error().message);
    limit = *parsed;
    limited = true;
  }
  if (!figures) figures = std::make_shared<RuleFigures>();
  const auto stream = std::make_shared<RulesStream>(std::move(figures), std::move(sources), std::move(name_of), limit);
  return {.content_type = kJson, .body = http::BodyStream([stream] { return stream->NextPiece(); })};
}

}  // namespace conntally

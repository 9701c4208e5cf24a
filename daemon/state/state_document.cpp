#include "daemon/state/state_document.h"

#include <algorithm>

#include "collectors/system/network_namespace.h"
#include "collectors/system/threads/regular_file.h"

namespace conntally {
namespace {

using Json = nlohmann::json;

constexpr int kDepthMax = 32;
constexpr const char* kVersion = "conntally-state";

Result<Json> Parsed(std::string_view text) {
  bool deep = false;
  const auto depth_is_bounded = [&](int depth, Json::parse_event_t, Json&) {
    deep = deep || depth > kDepthMax;
    return !deep;
  };
  Json json = Json::parse(text, depth_is_bounded, false);
  if (deep) return Error{"it is nested too deeply"};
  if (json.is_discarded() || !json.is_object()) return Error{"it is no JSON object"};
  return json;
}

std::string TextOf(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}
std::uint64_t NumberOf(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

Json TakeObject(Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_object() ? std::move(*found) : Json::object();
}

}  // namespace

StateOrigin ThisOrigin(const std::string& namespace_path) {
  StateOrigin origin;
  constexpr std::size_t kBootIdBytesMax = 64;
  if (auto boot = ReadRegularFile("/proc/sys/kernel/random/boot_id", kBootIdBytesMax)) {
    origin.boot_id = boot->substr(0, boot->find('\n'));
  }
  origin.namespace_path = namespace_path;
  if (const auto id = IdentifyNetworkNamespace(namespace_path.empty() ? kOwnNetworkNamespace : namespace_path)) {
    origin.namespace_device = id->device;
    origin.namespace_inode = id->inode;
  }
  return origin;
}

Result<std::string> ComposeState(const State& state, const StateOrigin& origin, StateTime now) {
  const Json json = {{kVersion, kStateVersion},
                     {"saved", now.time_since_epoch().count()},
                     {"boot_id", origin.boot_id},
                     {"namespace", origin.namespace_path},
                     {"namespace_device", origin.namespace_device},
                     {"namespace_inode", origin.namespace_inode},
                     {"alerts", state.alerts},
                     {"judge", state.judge}};
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  if (text.size() > kStateBytesMax) return Error{"it is too long: " + std::to_string(text.size()) + " bytes", EFBIG};
  return text;
}

Result<State> ParseState(std::string_view text, const StateOrigin& origin, StateTime now) {
  auto parsed = Parsed(text);
  if (!parsed) return parsed.error();
  Json& json = *parsed;
  if (NumberOf(json, kVersion) != kStateVersion)
    return Error{"it is not of version " + std::to_string(kStateVersion) + " of conntally's state"};
  const bool same_boot = !origin.boot_id.empty() && TextOf(json, "boot_id") == origin.boot_id;
  const bool same_path = TextOf(json, "namespace") == origin.namespace_path;
  const bool same_namespace = NumberOf(json, "namespace_device") == origin.namespace_device &&
                              NumberOf(json, "namespace_inode") == origin.namespace_inode;
  // Inodes of namespaces mean nothing after a boot.
  if (same_boot ? !same_namespace : !same_path) return Error{"it is of another network namespace"};
  // If the clock was set back, or not set since boot, the state counts as new.
  const auto saved = std::min<std::uint64_t>(NumberOf(json, "saved"), static_cast<std::uint64_t>(1) << 40U);
  const auto age = now - StateTime(std::chrono::seconds(saved));
  if (age > kStateAgeMax) return Error{"it is " + std::to_string(age / std::chrono::hours(24)) + " days old"};
  State state;
  state.alerts = TakeObject(json, "alerts");
  state.judge = TakeObject(json, "judge");
  state.continues = same_boot;
  state.age = std::max(age, std::chrono::seconds(0));
  return state;
}

}  // namespace conntally

#include "daemon/command_line/check_config.h"

#include <unistd.h>

#include <ostream>
#include <variant>
#include <vector>

#include "config/parse.h"
#include "daemon/http/access/access.h"

namespace conntally {

int CheckConfig(const CheckConfigCommand& command, std::ostream& output, std::ostream& errors) {
  bool sound = true;
  const auto tell = [&](const std::vector<ConfigFault>& faults, const std::string& path) {
    for (const ConfigFault& fault : faults) errors << Describe(fault, path) << '\n';
    sound = sound && faults.empty();
  };
  // As at the start, a missing default file is not a fault.
  const bool is_there = command.config_file.is_explicit || access(command.config_file.path.c_str(), F_OK) == 0;
  const auto loaded = is_there ? LoadConfigFile(command.config_file.path) : ConfigOrFaults(Config{});
  const auto* config = std::get_if<Config>(&loaded);
  if (config == nullptr) tell(std::get<std::vector<ConfigFault>>(loaded), command.config_file.path);
  const std::string web_file = command.web_config_file.value_or(config == nullptr ? "" : config->web.config_file);
  if (!web_file.empty()) tell(http::CheckWebConfigFile(web_file), web_file);
  if (sound) output << (is_there ? "OK\n" : "OK: no " + command.config_file.path + ", so the defaults apply\n");
  return sound ? 0 : 1;
}

}  // namespace conntally

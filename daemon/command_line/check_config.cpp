#include "daemon/command_line/check_config.h"

#include <ostream>
#include <variant>
#include <vector>

#include "config/parse.h"

namespace conntally {

int CheckConfig(const std::string& path, std::ostream& output, std::ostream& errors) {
  const auto loaded = LoadConfigFile(path);
  if (std::holds_alternative<Config>(loaded)) {
    output << "OK\n";
    return 0;
  }
  for (const ConfigFault& fault : std::get<std::vector<ConfigFault>>(loaded)) errors << Describe(fault, path) << '\n';
  return 1;
}

}  // namespace conntally

#include "daemon/command_line/load_config.h"

#include <unistd.h>

namespace conntally {

ConfigOrFaults LoadConfig(const ConfigFile& file, const Overrides& overrides) {
  ConfigOrFaults loaded = Config{};
  if (file.is_explicit || access(file.path.c_str(), F_OK) == 0) loaded = LoadConfigFile(file.path);
  if (auto* config = std::get_if<Config>(&loaded)) overrides.ApplyTo(*config);
  return loaded;
}

}  // namespace conntally

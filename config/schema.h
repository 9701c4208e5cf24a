// The whole of conntally's configuration file as one table: every key, its range and its member of Config.
// Immutable; any thread.
#pragma once

#include "config/config.h"
#include "config/reading.h"

namespace conntally::config {

const Schema<Config>& ConfigSchema();

}  // namespace conntally::config

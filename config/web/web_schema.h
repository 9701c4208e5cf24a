// The whole of the web configuration file as one table, as schema.h is for ours. Immutable; any thread.
#pragma once

#include "config/reading.h"
#include "config/web/web_config.h"

namespace conntally::config {

const Schema<WebConfig>& WebConfigSchema();

// The cost of one of bcrypt's hashes, "$2y$10$" and 53 characters; nullopt: it is none.
std::optional<unsigned> BcryptCost(std::string_view hash);

}  // namespace conntally::config

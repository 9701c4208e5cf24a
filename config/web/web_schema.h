// The whole web configuration file as one table, like schema.h. Immutable; any thread.
#pragma once

#include "config/reading.h"
#include "config/web/web_config.h"

namespace conntally::config {

const Schema<WebConfig>& WebConfigSchema();

// The cost of a bcrypt hash, "$2y$10$" and 53 characters; nullopt: not a bcrypt hash.
std::optional<unsigned> BcryptCost(std::string_view hash);

}  // namespace conntally::config

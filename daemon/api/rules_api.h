// /api/v1/rules: every rule with its text, its counters, the sources that it dropped and the limits that it sets. A
// handler of the HTTP server, on its thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "collectors/rules/rule_counters.h"
#include "daemon/http/message.h"
#include "daemon/rules/rule_sources.h"

namespace conntally {

// {"rules": [...], "total": 12, "backends": {...}, "sets": [...]}; `figures` may be null. Takes ?limit=1..1000000, all
// by default. `name_of` formats a source.
http::Response AnswerRules(std::shared_ptr<const RuleFigures> figures, RuleSources sources,
                           std::function<std::string(const IpAddress&)> name_of, const http::Request& request);

}  // namespace conntally

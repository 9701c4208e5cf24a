// /api/v1/rules: every rule with what it says, what it counted and which limits it sets. A handler of the HTTP server, on its
// thread.
#pragma once

#include <memory>

#include "collectors/rules/rule_counters.h"
#include "daemon/http/message.h"

namespace conntally {

// {"rules": [...], "total": 12, "backends": {...}, "sets": [...]}; `figures` may be null. Takes ?limit=1..1000000, all by default.
http::Response AnswerRules(std::shared_ptr<const RuleFigures> figures, const http::Request& request);

}  // namespace conntally

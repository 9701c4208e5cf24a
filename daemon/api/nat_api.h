// /api/v1/nat?limit=50: the ports of translated addresses towards each destination, the fullest first, with the sources
// that hold most. A handler of the HTTP server, on its thread.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "collectors/nat/nat_figures.h"
#include "daemon/http/message.h"

namespace conntally {

using NameOfSource = std::function<std::string(const IpAddress&)>;

// Without the sources that hold the ports. Pure; any thread.
nlohmann::ordered_json PortUseJson(const PortUse& use);

// {"nat": [...], "total": 12}; `figures` may be null. `name_of` formats a source.
http::Response AnswerNat(const NatFigures* figures, const NameOfSource& name_of, const http::Request& request);

}  // namespace conntally

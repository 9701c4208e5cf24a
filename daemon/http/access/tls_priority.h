// GnuTLS priority strings from Go's names of versions and ciphers. Pure; any thread.
#pragma once

#include <string>

#include "config/web/web_config.h"

namespace conntally::http {

// Up to TLS 1.2 the suites that `tls` lists, or else the safe ones; TLS 1.3 has its own.
enum class Suites { kBefore13, kOf13 };
std::string PriorityText(const WebConfig::Tls& tls, Suites suites);

}  // namespace conntally::http

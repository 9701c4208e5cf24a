// GnuTLS' priority strings from Go's names. Pure; any thread.
#pragma once

#include <string>

#include "config/web/web_config.h"

namespace conntally::http {

// Up to TLS 1.2 the suites are those that `tls` lists, or that are thought safe; TLS 1.3 has its own.
enum class Suites { kBefore13, kOf13 };
std::string PriorityText(const WebConfig::Tls& tls, Suites suites);

}  // namespace conntally::http

// Checks a request's head: RFC 9112, 3.2 and 6.3, and that the Host is ours. Pure, except for this host's name; any
// thread.
//
// Why the Host: a web page may resolve its own name to our loopback address (DNS rebinding). The browser then takes us
// for that page's site, and lets the page read our answers. So a client that connects by loopback must use an address,
// localhost, this host's name, or a name that the configuration allows. On other interfaces any name is accepted:
// scrapers use names, and the firewall decides who may connect.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/http/message.h"

namespace conntally::http {

struct RequestHead {
  std::string_view version;  // "HTTP/1.1"
  std::string_view target;   // as the client wrote it
  std::vector<std::pair<std::string_view, std::string_view>> fields;
  bool by_loopback = false;  // the client connected to a loopback address
};

// The refusal (400, 421), if any; close the connection after it.
std::optional<Response> FindFault(const RequestHead& head, const std::vector<std::string>& allowed_hosts);

// The host of `HOST` or `HOST:PORT`, an IPv6 address with its brackets; nullopt if malformed or empty.
std::optional<std::string_view> HostOf(std::string_view authority);

}  // namespace conntally::http

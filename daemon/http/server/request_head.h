// What a request's head must hold to be answered: RFC 9112, 3.2 and 6.3, and a host that is ours. Pure, but for this
// host's name; any thread.
//
// Why the host: a page from anywhere may give its own name our loopback address (DNS rebinding), and the browser then
// takes us for that page's site, and reads what we answer to it. So who comes by loopback must call us by an address,
// as localhost, by this host's name, or by a name that the configuration allows. On other interfaces any name is
// served: scrapes come by name, and who may come there is the firewall's to say.
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

// The refusal (400, 421), if any is due; the connection is to be closed after it.
std::optional<Response> FindFault(const RequestHead& head, const std::vector<std::string>& allowed_hosts);

// The host of `HOST` or `HOST:PORT`, an IPv6 address with its brackets; nullopt when it is malformed or empty.
std::optional<std::string_view> HostOf(std::string_view authority);

}  // namespace conntally::http

#include "daemon/http/server/request_head.h"

#include <arpa/inet.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace conntally::http {
namespace {

bool IsAlphanumeric(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

// RFC 9110, 5.6.2
bool IsToken(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() &&
         std::ranges::all_of(text, [&](char c) { return IsAlphanumeric(c) || kMarks.find(c) != kMarks.npos; });
}

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::ranges::equal(a, b, {}, lower, lower);
}

bool IsAddress(std::string_view host) {
  std::array<unsigned char, sizeof(in6_addr)> bytes;
  if (!host.starts_with('[')) return inet_pton(AF_INET, std::string(host).c_str(), bytes.data()) == 1;
  const std::string_view inner = host.substr(1, host.size() - 2);
  return inet_pton(AF_INET6, std::string(inner.substr(0, inner.find('%'))).c_str(), bytes.data()) == 1;
}

std::string OwnName() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return gethostname(name.data(), name.size()) == 0 ? name.data() : "";
}

bool IsOurs(std::string_view host, const std::vector<std::string>& allowed_hosts) {
  if (IsAddress(host)) return true;
  if (host.ends_with('.')) host.remove_suffix(1);
  const std::string own = OwnName();
  const auto is_host = [host](std::string_view name) { return !name.empty() && EqualIgnoringCase(host, name); };
  return is_host("localhost") || is_host(own) || is_host(own.substr(0, own.find('.'))) ||
         std::ranges::any_of(allowed_hosts, is_host);
}

Response Malformed(std::string_view what) { return ErrorResponse(400, what); }

// `http://HOST:PORT/path`: RFC 9112, 3.2.2. nullopt for another form.
std::optional<std::string_view> AuthorityOf(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (!target.starts_with(kScheme)) return std::nullopt;
  target.remove_prefix(kScheme.size());
  return target.substr(0, target.find_first_of("/?"));
}

}  // namespace

std::optional<std::string_view> HostOf(std::string_view authority) {
  std::string_view host = authority;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == authority.npos) return std::nullopt;
    host = authority.substr(0, close + 1);
    if (!IsAddress(host)) return std::nullopt;
  } else {
    constexpr std::string_view kMarks = "-._~!$&'()*+,;=%";  // RFC 3986, 3.2.2
    host = authority.substr(0, authority.find(':'));
    const auto allowed = [&](char c) { return IsAlphanumeric(c) || kMarks.find(c) != kMarks.npos; };
    if (host.empty() || !std::ranges::all_of(host, allowed)) return std::nullopt;
  }
  const std::string_view port = authority.substr(host.size());
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!port.empty() && (port.front() != ':' || !std::ranges::all_of(port.substr(1), is_digit))) return std::nullopt;
  return host;
}

std::optional<Response> FindFault(const RequestHead& head, const std::vector<std::string>& allowed_hosts) {
  std::optional<std::string_view> authority;
  bool has_length = false, has_encoding = false;
  for (const auto& [name, value] : head.fields) {
    // Also a space before the colon, which other servers may read as another name.
    if (!IsToken(name)) return Malformed("a header's name is malformed");
    if (EqualIgnoringCase(name, "Host")) {
      if (authority) return Malformed("there are two Host headers");
      authority = value;
    } else if (EqualIgnoringCase(name, "Content-Length")) {
      if (has_length) return Malformed("there are two Content-Length headers");
      has_length = true;
    } else if (EqualIgnoringCase(name, "Transfer-Encoding")) {
      has_encoding = true;
    }
  }
  if (has_length && has_encoding) return Malformed("there are both Content-Length and Transfer-Encoding");
  if (!authority && head.version != "HTTP/1.0") return Malformed("there is no Host header");
  for (const auto& named : {authority, AuthorityOf(head.target)}) {
    if (!named) continue;
    const auto host = HostOf(*named);
    if (!host) return Malformed("the host is malformed");
    if (head.by_loopback && !IsOurs(*host, allowed_hosts)) {
      return ErrorResponse(421, "this is not " + std::string(*host) + "; web.allowed_hosts may allow that name");
    }
  }
  return std::nullopt;
}

}  // namespace conntally::http

#include "config/notation/notation.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "collectors/addresses/address.h"
#include "collectors/system/shown_text.h"

namespace conntally {
namespace {

using std::chrono::milliseconds;

struct DurationUnit {
  std::string_view name;
  std::int64_t milliseconds;
};
// The largest first, as FormatDuration needs.
constexpr std::array kUnits = {DurationUnit{"h", 3'600'000}, DurationUnit{"m", 60'000}, DurationUnit{"s", 1000},
                               DurationUnit{"ms", 1}};

constexpr std::size_t kQuotedBytesMax = 80;
constexpr std::size_t kHostBytesMax = 253;          // RFC 1035, section 2.3.4
constexpr std::size_t kInterfaceNameBytesMax = 15;  // IFNAMSIZ, less the NUL

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool AreDigits(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), IsDigit); }

Error Problem(std::string_view text, std::string_view what) { return Error{Quoted(text).append(what)}; }

std::optional<std::uint16_t> ParsePort(std::string_view text) {
  std::uint16_t port = 0;
  if (!AreDigits(text)) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{}) return std::nullopt;
  return port;
}

struct HostAndPort {
  std::string_view host;                 // without brackets
  std::optional<std::string_view> port;  // what follows the colon
  bool bracketed = false;
};

std::optional<HostAndPort> SplitHostAndPort(std::string_view text) {
  HostAndPort split;
  std::size_t host_end = 0;
  if (text.starts_with('[')) {
    host_end = text.find(']');
    if (host_end == text.npos) return std::nullopt;
    split.host = text.substr(1, host_end - 1);
    split.bracketed = true;
    ++host_end;
  } else {
    host_end = std::min(text.find(':'), text.size());
    split.host = text.substr(0, host_end);
  }
  const std::string_view rest = text.substr(host_end);
  if (rest.empty()) return split;
  if (rest.front() != ':') return std::nullopt;
  split.port = rest.substr(1);
  return split;
}

bool IsHost(const HostAndPort& split) {
  const auto address = IpAddress::Parse(split.host);
  if (split.bracketed) return address && address->family == Family::kIpv6;
  return (address && address->family == Family::kIpv4) || IsHostName(split.host);
}

// RFC 4007, section 11. A zone names the link of a link-local address.
std::optional<std::string> FindZoneProblem(std::string_view host) {
  const std::size_t percent = host.find('%');
  const auto address = IpAddress::Parse(host.substr(0, percent));
  const Prefix link_local = *Prefix::Parse("fe80::/10");
  if (!address || !link_local.Contains(*address))
    return " has a zone, which belongs to a link-local IPv6 address (fe80::/10)";
  const std::string_view zone = host.substr(percent + 1);
  const auto forbidden = [](char c) { return IsControl(c) || c == ' ' || c == '/' || c == '%'; };
  if (zone.empty() || zone.size() > kInterfaceNameBytesMax || std::any_of(zone.begin(), zone.end(), forbidden)) {
    return " has a zone that is no network interface's name, as in [fe80::1%eth0]:9105";
  }
  return std::nullopt;
}

}  // namespace

Result<milliseconds> ParseDuration(std::string_view text) {
  const std::string_view digits = text.substr(0, text.find_first_not_of("0123456789"));
  const std::string_view unit_name = text.substr(digits.size());
  if (text.starts_with('-')) return Problem(text, " is negative");
  if (digits.empty()) return Problem(text, " is not a duration");
  if (unit_name.empty()) return Problem(text, " has no unit");
  const auto unit =
      std::find_if(kUnits.begin(), kUnits.end(), [&](const DurationUnit& each) { return each.name == unit_name; });
  if (unit == kUnits.end()) return Problem(text, " is not a duration");
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
  if (error != std::errc{} || count > std::numeric_limits<std::int64_t>::max() / unit->milliseconds) {
    return Problem(text, " is too long");
  }
  return milliseconds(count * unit->milliseconds);
}

std::string FormatDuration(milliseconds duration) {
  if (duration == milliseconds::zero()) return "0s";
  const auto unit = std::find_if(kUnits.begin(), kUnits.end(),
                                 [&](const DurationUnit& each) { return duration.count() % each.milliseconds == 0; });
  return std::to_string(duration.count() / unit->milliseconds).append(unit->name);
}

bool IsHostName(std::string_view text) {
  if (text.empty() || text.size() > kHostBytesMax || text.front() == '-' || text.front() == '.') return false;
  const auto allowed = [](char c) { return IsDigit(c) || IsLetter(c) || c == '-' || c == '.' || c == '_'; };
  return std::all_of(text.begin(), text.end(), allowed) && std::any_of(text.begin(), text.end(), IsLetter);
}

Result<ListenAddress> ParseListenAddress(std::string_view text) {
  const auto split = SplitHostAndPort(text);
  if (!split) return Problem(text, " is not an address and a port");
  const bool every_address = split->host.empty() && !split->bracketed;
  if (!split->bracketed && IpAddress::Parse(text)) {
    const bool needs_brackets = IpAddress::Parse(text)->family == Family::kIpv6;
    return Problem(text, needs_brackets ? " has no brackets around the IPv6 address, or no port" : " has no port");
  }
  const bool has_zone = split->bracketed && split->host.find('%') != split->host.npos;
  if (has_zone) {
    if (const auto problem = FindZoneProblem(split->host)) return Problem(split->host, *problem);
  } else if (!every_address && !IsHost(*split)) {
    return Problem(split->host, " is not a host");
  }
  if (!split->port) return Problem(text, " has no port");
  const auto port = ParsePort(*split->port);
  if (!port) return Problem(*split->port, " is not a port from 0 to 65535");
  return ListenAddress{std::string(split->host), *port};
}

std::optional<std::string> FindUrlProblem(std::string_view text) {
  constexpr std::string_view kHttp = "http://";
  constexpr std::string_view kHttps = "https://";
  const std::size_t scheme = text.starts_with(kHttp) ? kHttp.size() : text.starts_with(kHttps) ? kHttps.size() : 0;
  if (scheme == 0) return Quoted(text) + " does not begin with http:// or https://";
  const auto forbidden = [](char c) { return IsControl(c) || c == ' ' || c == '?' || c == '#' || c == '@'; };
  if (std::any_of(text.begin(), text.end(), forbidden)) {
    // Not shown: it may be a secret, and messages end up in logs.
    if (text.find_first_of("@?#") != text.npos)
      return "a user name, a query or a fragment is in it (it is not shown here, it may hold a secret)";
    return Quoted(text) + " has a space in it";
  }
  const auto split = SplitHostAndPort(text.substr(scheme, text.find('/', scheme) - scheme));
  if (!split || !IsHost(*split)) return Quoted(text) + " has no valid host";
  if (split->port && ParsePort(*split->port).value_or(0) == 0) return Quoted(text) + " has no valid port";
  return std::nullopt;
}

bool IsLabelName(std::string_view text) {
  const auto allowed = [](char c) { return IsDigit(c) || IsLetter(c) || c == '_'; };
  return !text.empty() && !IsDigit(text.front()) && !text.starts_with("__") &&
         std::all_of(text.begin(), text.end(), allowed);
}

std::string Quoted(std::string_view text) {
  constexpr std::string_view kHexDigits = "0123456789abcdef";
  std::string quoted = "\"";
  while (!text.empty()) {
    if (quoted.size() > kQuotedBytesMax) return quoted + "…\"";
    const std::size_t length = Utf8Length(text);
    const char first = text.front();
    if (length == 0 || IsControl(first)) {
      const auto byte = static_cast<unsigned char>(first);
      quoted.append("\\x").append(1, kHexDigits[byte >> 4U]).append(1, kHexDigits[byte & 0xFU]);
    } else {
      if (first == '"' || first == '\\') quoted.push_back('\\');
      quoted.append(text.substr(0, length));
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return quoted + "\"";
}

}  // namespace conntally

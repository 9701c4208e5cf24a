#include "daemon/http/server/sockets/listen.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <charconv>
#include <memory>

namespace conntally::http {
namespace {

struct FreeAddresses {
  void operator()(addrinfo* addresses) const { freeaddrinfo(addresses); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

// How much unsent response the kernel may hold per client. The rest stays with us, where it is counted and a slow
// client is noticed; bytes in flight still grow with the path.
constexpr int kUnsentBytesMax = 128 * 1024;

Result<Addresses> Resolve(const ListenAddress& address, const std::string& doing) {
  addrinfo hints{};
  hints.ai_family = address.host.empty() ? AF_INET6 : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  const int code = getaddrinfo(address.host.empty() ? nullptr : address.host.c_str(), port.c_str(), &hints, &found);
  if (code == EAI_SYSTEM) return Error::FromErrno(doing, errno);
  if (code != 0) return Error{doing + ": " + gai_strerror(code)};
  return Addresses(found);
}

bool SetOption(int descriptor, int level, int name, int value) {
  return setsockopt(descriptor, level, name, &value, sizeof(value)) == 0;
}

Result<std::uint16_t> BoundPort(int descriptor, const std::string& doing) {
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    return Error::FromErrno(doing, errno);
  }
  // sin_port and sin6_port have the same offset.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
}

// Whether the host means every address, in any notation.
bool IsEveryAddress(const std::string& host) {
  in6_addr address{};
  return host.empty() || (inet_pton(AF_INET6, host.c_str(), &address) == 1 && IN6_IS_ADDR_UNSPECIFIED(&address));
}

// For a missing zone, getaddrinfo(3) only reports an unknown name.
Status CheckZone(const ListenAddress& address, const std::string& doing) {
  const std::size_t percent = address.host.find('%');
  if (percent == address.host.npos) return Ok();
  const std::string zone = address.host.substr(percent + 1);
  if (if_nametoindex(zone.c_str()) != 0 || zone.find_first_not_of("0123456789") == zone.npos) return Ok();
  return Error{doing + ": there is no network interface " + zone, ENODEV};
}

Result<ListenSocket> ListenOn(const sockaddr* address, socklen_t size, const std::string& doing) {
  FileDescriptor descriptor(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!descriptor) return Error::FromErrno(doing, errno);
  // A restart must not wait for the old connections' TIME_WAIT.
  if (!SetOption(descriptor.get(), SOL_SOCKET, SO_REUSEADDR, 1)) return Error::FromErrno(doing, errno);
  if (address->sa_family == AF_INET6) SetOption(descriptor.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  // Accepted sockets inherit it.
  SetOption(descriptor.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, kUnsentBytesMax);
  if (bind(descriptor.get(), address, size) != 0 || listen(descriptor.get(), SOMAXCONN) != 0) {
    Error error = Error::FromErrno(doing, errno);
    if (error.code == EADDRINUSE) error.message += "; is another exporter or conntally there?";
    if (error.code == EADDRNOTAVAIL) error.message += "; no network interface of this host has it";
    if (error.code == EACCES) error.message += "; ports below 1024 need CAP_NET_BIND_SERVICE";
    return error;
  }
  auto port = BoundPort(descriptor.get(), doing);
  if (!port) return port.error();
  return ListenSocket{std::move(descriptor), *port};
}

}  // namespace

Result<ListenAddress> ListenAddress::Parse(std::string_view text) {
  const Error refused{"listen address \"" + std::string(text) +
                      "\": write HOST:PORT, [IPv6]:PORT or :PORT, with a port from 0 to 65535"};
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return refused;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[')) {
    if (!host.ends_with(']') || host.find(':') == host.npos) return refused;
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != host.npos) {
    return refused;
  }
  if (host.find_first_of(std::string_view("[]/ \t\r\n\0", 8)) != host.npos) return refused;
  const std::string_view digits = text.substr(colon + 1);
  ListenAddress address{std::string(host), 0};
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (problem != std::errc{} || end != digits.data() + digits.size()) return refused;
  return address;
}

Result<ListenSocket> Adopt(FileDescriptor descriptor) {
  const std::string doing = "cannot take over the socket that was passed";
  const int flags = fcntl(descriptor.get(), F_GETFL);
  if (flags < 0 || fcntl(descriptor.get(), F_SETFL, flags | O_NONBLOCK) != 0) return Error::FromErrno(doing, errno);
  SetOption(descriptor.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, kUnsentBytesMax);
  auto port = BoundPort(descriptor.get(), doing);
  if (!port) return port.error();
  return ListenSocket{std::move(descriptor), *port};
}

Result<ListenSocket> Listen(const std::string& address) {
  auto parsed = ListenAddress::Parse(address);
  if (!parsed) return parsed.error();
  const std::string doing = "cannot listen on " + address;
  if (Status zone = CheckZone(*parsed, doing); !zone) return zone.error();
  auto addresses = Resolve(*parsed, doing);
  if (!addresses) return addresses.error();
  const addrinfo* chosen = addresses->get();
  for (const addrinfo* next = chosen; next != nullptr; next = next->ai_next) {
    if (next->ai_family == AF_INET) {
      chosen = next;
      break;
    }
  }
  auto listening = ListenOn(chosen->ai_addr, chosen->ai_addrlen, doing);
  // A kernel booted with ipv6.disable=1 can still listen on every IPv4 address.
  if (!listening && listening.error().code == EAFNOSUPPORT && IsEveryAddress(parsed->host)) {
    spdlog::info("IPv6 is off here: listening on every IPv4 address");
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_port = htons(parsed->port);
    return ListenOn(reinterpret_cast<const sockaddr*>(&any), sizeof(any), doing);
  }
  return listening;
}

}  // namespace conntally::http

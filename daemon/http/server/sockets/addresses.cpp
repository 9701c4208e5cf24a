#include "daemon/http/server/sockets/addresses.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>

namespace conntally::http {
namespace {

constexpr unsigned char kLoopbackNetwork = 127;
constexpr std::size_t kNetworkBytes = 8;

using AskForName = int (*)(int, sockaddr*, socklen_t*);

// As IPv6; IPv4 is mapped.
std::optional<in6_addr> AddressOf(int descriptor, AskForName ask) {
  sockaddr_storage name{};
  socklen_t size = sizeof(name);
  if (ask(descriptor, reinterpret_cast<sockaddr*>(&name), &size) != 0) return std::nullopt;
  if (name.ss_family == AF_INET6) return reinterpret_cast<const sockaddr_in6*>(&name)->sin6_addr;
  if (name.ss_family != AF_INET) return std::nullopt;
  in6_addr mapped{};
  mapped.s6_addr[10] = mapped.s6_addr[11] = 0xFF;
  const auto* v4 = reinterpret_cast<const unsigned char*>(&reinterpret_cast<const sockaddr_in*>(&name)->sin_addr);
  for (int i = 0; i < 4; ++i) mapped.s6_addr[12 + i] = v4[i];
  return mapped;
}

bool IsLoopback(const in6_addr& address) {
  return IN6_IS_ADDR_LOOPBACK(&address) || (IN6_IS_ADDR_V4MAPPED(&address) && address.s6_addr[12] == kLoopbackNetwork);
}

}  // namespace

bool IsByLoopback(int descriptor) {
  const auto own = AddressOf(descriptor, &getsockname);
  return !own || IsLoopback(*own);
}

bool IsOnLoopback(int listening_descriptor) {
  const auto own = AddressOf(listening_descriptor, &getsockname);
  return own && IsLoopback(*own);
}

std::string ClientOf(int descriptor) {
  const auto peer = AddressOf(descriptor, &getpeername);
  if (!peer) return {};
  const auto* bytes = reinterpret_cast<const char*>(peer->s6_addr);
  return {bytes, IN6_IS_ADDR_V4MAPPED(&*peer) ? sizeof(in6_addr) : kNetworkBytes};
}

// Debian names a host by `127.0.1.1 gw.example.com gw`. DNS rebinding cannot change the hosts file.
void AddLoopbackNames(std::vector<std::string>& names) {
  sethostent(0);
  while (const hostent* host = gethostent()) {
    if (host->h_addrtype != AF_INET || static_cast<unsigned char>(host->h_addr_list[0][0]) != kLoopbackNetwork)
      continue;
    names.emplace_back(host->h_name);
    for (char** alias = host->h_aliases; *alias != nullptr; ++alias) names.emplace_back(*alias);
  }
  endhostent();
}

}  // namespace conntally::http

// The listening socket: from `HOST:PORT` to a bound descriptor. Any thread; resolving a host name may block.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "collectors/system/file_descriptor.h"
#include "collectors/system/result.h"

namespace conntally::http {

struct ListenAddress {
  std::string host;  // name or address, without brackets; empty: every address
  std::uint16_t port = 0;

  // `HOST:PORT`, `[V6]:PORT` or `:PORT`, port in decimal. Pure.
  static Result<ListenAddress> Parse(std::string_view text);
};

struct ListenSocket {
  FileDescriptor descriptor;
  std::uint16_t port = 0;  // the port actually bound
};

// Resolves, binds and listens. `[::]` and the empty host accept IPv4 too (IPV6_V6ONLY off); if the kernel has no IPv6,
// IPv4 only, which is logged. A name with addresses of both families binds its first IPv4 one, like exporters in Go. An
// address may have a zone: `[fe80::1%eth0]:9105`.
Result<ListenSocket> Listen(const std::string& address);

// Takes over a TCP socket that another process has bound and set to listen.
Result<ListenSocket> Adopt(FileDescriptor descriptor);

}  // namespace conntally::http

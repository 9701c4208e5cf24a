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
  std::uint16_t port = 0;  // the one really bound
};

// Resolves, binds and listens. `[::]` and the empty host take IPv4 too (IPV6_V6ONLY off), and IPv4 alone, which is
// logged, where the kernel has no IPv6; a name with addresses of both families takes its first IPv4 one, as Go's
// exporters do. An address may have a zone: `[fe80::1%eth0]:9105`.
Result<ListenSocket> Listen(const std::string& address);

// Takes over a TCP socket that somebody else has bound and listens on.
Result<ListenSocket> Adopt(FileDescriptor descriptor);

}  // namespace conntally::http

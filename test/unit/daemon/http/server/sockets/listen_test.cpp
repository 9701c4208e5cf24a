#include "daemon/http/server/sockets/listen.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cstddef>
#include <iterator>
#include <optional>
#include <thread>

#include "test/support/catch.h"

using namespace conntally;
using namespace conntally::http;

namespace {

// As a kernel booted with ipv6.disable=1 does, for the calling thread.
void RefuseIpv6Sockets() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{std::size(program), program};
  REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

}  // namespace

TEST_CASE("listen addresses are HOST:PORT, [V6]:PORT or :PORT") {
  CHECK(ListenAddress::Parse("127.0.0.1:9105").value().host == "127.0.0.1");
  CHECK(ListenAddress::Parse("127.0.0.1:9105").value().port == 9105);
  CHECK(ListenAddress::Parse("[::1]:0").value().host == "::1");
  CHECK(ListenAddress::Parse("localhost:65535").value().port == 65535);
  CHECK(ListenAddress::Parse(":9105").value().host.empty());
  for (const char* text : {"", ":", "9105", "localhost", "localhost:", "::1:9105", "[::1]", "[::1:9105", "[]:1",
                           "h:65536", "h:-1", "h:+1", "h: 1", "h:1x", "[localhost]:1", "http://h:1", "a b:1"}) {
    INFO(text);
    CHECK_FALSE(ListenAddress::Parse(text));
  }
}

TEST_CASE("where the kernel has no IPv6, every IPv4 address is listened on") {
  for (const char* address : {":0", "[::]:0", "[0::0]:0"}) {
    INFO(address);
    std::optional<Result<ListenSocket>> socket;
    std::thread([&] {
      RefuseIpv6Sockets();
      socket = Listen(address);
    }).join();
    REQUIRE(*socket);
    sockaddr_in bound{};
    socklen_t size = sizeof(bound);
    REQUIRE(getsockname((*socket)->descriptor.get(), reinterpret_cast<sockaddr*>(&bound), &size) == 0);
    CHECK(bound.sin_family == AF_INET);
  }
}

TEST_CASE("a zone that is not there is named") {
  const auto socket = Listen("[fe80::1%no-such-link]:0");
  REQUIRE_FALSE(socket);
  CHECK(socket.error().message ==
        "cannot listen on [fe80::1%no-such-link]:0: there is no network interface no-such-link");
}

#include "daemon/command_line/client/ask_daemon.h"

#include "test/support/catch.h"

using conntally::DaemonUrl;

TEST_CASE("a daemon is asked where its listen address can be reached") {
  CHECK(DaemonUrl("127.0.0.1:9105") == "http://127.0.0.1:9105");
  CHECK(DaemonUrl("gateway:80") == "http://gateway:80");
  CHECK(DaemonUrl("[2001:db8::1]:9105") == "http://[2001:db8::1]:9105");
  CHECK(DaemonUrl("[fe80::1%eth0]:9105") == "http://[fe80::1%25eth0]:9105");
  // Also where the kernel has no IPv6.
  for (const char* every : {":9105", "0.0.0.0:9105", "[::]:9105", "[0::0]:9105"})
    CHECK(DaemonUrl(every) == "http://127.0.0.1:9105");
  CHECK(DaemonUrl("[::1]:0", 40'000) == "http://[::1]:40000");
}

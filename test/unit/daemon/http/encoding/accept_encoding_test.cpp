#include "daemon/http/encoding/accept_encoding.h"

#include "test/support/catch.h"

using namespace conntally::http;

TEST_CASE("gzip is sent only to who allows it") {
  for (const char* value : {"gzip", "GZIP", "x-gzip", "deflate, gzip", "gzip;q=0.5", "gzip ; Q=0.001", "gzip;q=1.000",
                            "*", "br, *;q=0.1", "gzip, *;q=0", ",,gzip,", "gzip;x=1;q=1", "gzip;q=0, gzip"}) {
    INFO(value);
    CHECK(AllowsGzip(value));
  }
  for (const char* value : {"", "identity", "gzip;q=0", "gzip;q=0.000", "gzip; q=0", "*;q=0", "gzip;q=0, *", "gzipped",
                            "gzi", "deflate;gzip", "gzip;q=", "gzip;q=x", "gzip;q=1.5", "gzip;q=-1", "gzip;q=0.0001"}) {
    INFO(value);
    CHECK_FALSE(AllowsGzip(value));
  }
}

#include "daemon/http/access/access.h"

#include <chrono>

#include "daemon/http/access/password.h"
#include "daemon/http/access/rate_limiter.h"
#include "daemon/http/access/tls_priority.h"
#include "test/support/catch.h"

using namespace conntally;
using namespace conntally::http;
using namespace std::chrono_literals;

namespace {

// What the authors of bcrypt's implementations publish: of "U*U", of the same after 72 bytes, of nothing.
const std::string kOfUStarU = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
const std::string kOfNothing = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy";

}  // namespace

TEST_CASE("a password matches its hash alone, whatever letter the hash has") {
  CHECK(MatchesBcrypt(kOfUStarU, "U*U"));
  CHECK(MatchesBcrypt(kOfNothing, ""));
  CHECK_FALSE(MatchesBcrypt(kOfUStarU, "U*V"));
  CHECK_FALSE(MatchesBcrypt(kOfUStarU, ""));
  for (const char* version : {"$2$", "$2y$", "$2b$", "$2x$"}) {
    CHECK(MatchesBcrypt(version + kOfUStarU.substr(4), "U*U"));
  }
  CHECK_FALSE(MatchesBcrypt(kOfUStarU, std::string("U*U\0x", 5)));
  CHECK_FALSE(MatchesBcrypt(kOfUStarU + "x", "U*U"));
  CHECK_FALSE(MatchesBcrypt("$2a$05$" + std::string(53, '!'), "U*U"));
}

TEST_CASE("a header of basic authentication holds a name and a password") {
  const auto login = ParseBasicAuth("Basic QWxhZGRpbjpvcGVuOnNlc2FtZQ==");
  REQUIRE(login);
  CHECK(login->user == "Aladdin");
  CHECK(login->password == "open:sesame");
  CHECK(ParseBasicAuth("bAsIc Og=="));
  for (const char* other : {"", "Basic", "Basic ", "Bearer QTpi", "Basic QTpi=", "Basic QTpi QTpi", "Basic QQ=="}) {
    INFO(other);
    CHECK_FALSE(ParseBasicAuth(other));
  }
}

TEST_CASE("a rate limit lets a burst through, and then one each interval") {
  RateLimiter limiter;
  const WebConfig::RateLimit limit{100ms, 2};
  auto now = std::chrono::steady_clock::time_point(1h);
  CHECK(limiter.Allow(limit, now));
  CHECK(limiter.Allow(limit, now));
  CHECK_FALSE(limiter.Allow(limit, now));
  CHECK_FALSE(limiter.Allow(limit, now + 99ms));
  CHECK(limiter.Allow(limit, now + 101ms));
  CHECK_FALSE(limiter.Allow(limit, now + 102ms));
  now += 10s;
  CHECK(limiter.Allow(limit, now));
  CHECK(limiter.Allow(limit, now));
  CHECK_FALSE(limiter.Allow(limit, now));
  CHECK_FALSE(RateLimiter().Allow({1s, 0}, now));  // no burst, no request
  for (int i = 0; i < 100; ++i) CHECK(limiter.Allow({0s, 0}, now));
}

TEST_CASE("GnuTLS understands every choice of versions, suites and curves") {
  WebConfig::Tls tls;
  for (const auto suites : {Suites::kBefore13, Suites::kOf13}) {
    for (const auto& chosen : {std::vector<WebConfig::CipherSuite>{}, {0xC02F}, {0xCCA8, 0xC00A, 0x009C, 0x002F}}) {
      tls.cipher_suites = chosen;
      gnutls_priority_t priority = nullptr;
      INFO(PriorityText(tls, suites));
      CHECK(gnutls_priority_init(&priority, PriorityText(tls, suites).c_str(), nullptr) == GNUTLS_E_SUCCESS);
      gnutls_priority_deinit(priority);
    }
  }
  tls.cipher_suites = {0xC030, 0x1301};
  tls.curve_preferences = {WebConfig::Curve::kP384};
  tls.min_version = tls.max_version = WebConfig::TlsVersion::k12;
  CHECK(PriorityText(tls, Suites::kBefore13) ==
        "NONE:+COMP-NULL:+SIGN-ALL:+VERS-TLS1.2:+GROUP-SECP384R1:+ECDHE-RSA:+AES-256-GCM:+AEAD:%SERVER_PRECEDENCE");
}

// The web configuration file that Prometheus' exporters share (exporter-toolkit): TLS, users, rate limit, as plain
// values. Immutable once parsed; any thread may read it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/document.h"
#include "config/fault.h"

namespace conntally {

struct WebConfig {
  // A value that is checked only later, with its place for the error.
  struct Written {
    std::string text;  // for a file: its path, absolute or relative to the working directory
    config::Place place;
  };

  // By Go's crypto/tls names, which the format uses.
  enum class ClientAuth { kNone, kRequest, kRequireAny, kVerifyIfGiven, kRequireAndVerify };
  enum class TlsVersion { k10, k11, k12, k13 };
  enum class Curve { kP256, kP384, kP521, kX25519 };
  using CipherSuite = std::uint16_t;  // IANA's number

  struct Tls {
    Written certificate, certificate_file;  // the file takes precedence over the text, here and below
    Written key, key_file;
    Written client_ca, client_ca_file;
    std::optional<ClientAuth> client_auth;  // absent: kNone
    std::optional<std::vector<std::string>> client_allowed_sans;
    TlsVersion min_version = TlsVersion::k12;
    TlsVersion max_version = TlsVersion::k13;
    std::vector<CipherSuite> cipher_suites;  // up to TLS 1.2; empty: the suites considered safe
    std::vector<Curve> curve_preferences;    // empty: the default ones
    bool prefer_server_cipher_suites = true;

    // Whether TLS is enabled.
    bool on() const;
  } tls;

  struct Http {
    bool http2 = true;                           // no effect: the server speaks only HTTP/1.1
    std::map<std::string, std::string> headers;  // an empty value: the header is not sent
  } http;

  struct RateLimit {
    std::chrono::nanoseconds interval{0};  // 0: no limit
    std::uint32_t burst = 0;
  } rate_limit;

  std::map<std::string, std::string> users;  // bcrypt hashes, by name

  // Whether a client needs TLS or a password at all.
  bool protects() const { return tls.on() || !users.empty(); }
};

using WebConfigOrFaults = std::variant<WebConfig, std::vector<ConfigFault>>;

// Like ParseConfig. Paths in it are relative to `folder`.
WebConfigOrFaults ParseWebConfig(std::string_view yaml, const std::string& folder);
// Like LoadConfigFile.
WebConfigOrFaults LoadWebConfigFile(const std::string& path);

}  // namespace conntally

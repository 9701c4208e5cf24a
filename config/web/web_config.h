// Who may ask the daemon, and over what: the web configuration file that Prometheus' exporters share
// (exporter-toolkit), as plain values. Immutable once parsed; any thread may read.
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
  // A value that is looked into only later, so that what is wrong with it is told where it stands.
  struct Written {
    std::string text;  // of a file: its path, absolute or relative to our own folder
    config::Place place;
  };

  // Go's crypto/tls names, which the format has.
  enum class ClientAuth { kNone, kRequest, kRequireAny, kVerifyIfGiven, kRequireAndVerify };
  enum class TlsVersion { k10, k11, k12, k13 };
  enum class Curve { kP256, kP384, kP521, kX25519 };
  using CipherSuite = std::uint16_t;  // IANA's number

  struct Tls {
    Written certificate, certificate_file;  // the file goes before the text, here and below
    Written key, key_file;
    Written client_ca, client_ca_file;
    std::optional<ClientAuth> client_auth;  // absent: kNone
    std::optional<std::vector<std::string>> client_allowed_sans;
    TlsVersion min_version = TlsVersion::k12;
    TlsVersion max_version = TlsVersion::k13;
    std::vector<CipherSuite> cipher_suites;  // up to TLS 1.2; empty: what is thought safe today
    std::vector<Curve> curve_preferences;    // likewise
    bool prefer_server_cipher_suites = true;

    // Whether it is spoken at all.
    bool on() const;
  } tls;

  struct Http {
    bool http2 = true;                           // of no effect here: HTTP/1.1 is spoken alone
    std::map<std::string, std::string> headers;  // an empty value: this one is not sent
  } http;

  struct RateLimit {
    std::chrono::nanoseconds interval{0};  // 0: no limit
    std::uint32_t burst = 0;
  } rate_limit;

  std::map<std::string, std::string> users;  // bcrypt's hashes, by name

  // Whether somebody who finds the port still has something to show or to know.
  bool protects() const { return tls.on() || !users.empty(); }
};

using WebConfigOrFaults = std::variant<WebConfig, std::vector<ConfigFault>>;

// As ParseConfig. Paths in it are relative to `folder`.
WebConfigOrFaults ParseWebConfig(std::string_view yaml, const std::string& folder);
// As LoadConfigFile.
WebConfigOrFaults LoadWebConfigFile(const std::string& path);

}  // namespace conntally

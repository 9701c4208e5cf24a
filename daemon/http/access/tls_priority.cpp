#include "daemon/http/access/tls_priority.h"

#include <gnutls/gnutls.h>

#include <array>
#include <cstddef>
#include <string_view>

namespace conntally::http {
namespace {

// Suites that are not listed are disabled, whatever the distribution's default.
constexpr std::string_view kSuitesOf13 = ":+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AEAD";
constexpr std::string_view kSuitesBefore13 =
    ":+ECDHE-ECDSA:+ECDHE-RSA:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-CBC:+AES-256-CBC:+AEAD:+SHA1";

std::string_view NameOf(WebConfig::TlsVersion version) {
  switch (version) {
    case WebConfig::TlsVersion::k10: return ":+VERS-TLS1.0";
    case WebConfig::TlsVersion::k11: return ":+VERS-TLS1.1";
    case WebConfig::TlsVersion::k12: return ":+VERS-TLS1.2";
    case WebConfig::TlsVersion::k13: return ":+VERS-TLS1.3";
  }
  return "";
}

std::string_view NameOf(WebConfig::Curve curve) {
  switch (curve) {
    case WebConfig::Curve::kP256: return ":+GROUP-SECP256R1";
    case WebConfig::Curve::kP384: return ":+GROUP-SECP384R1";
    case WebConfig::Curve::kP521: return ":+GROUP-SECP521R1";
    case WebConfig::Curve::kX25519: return ":+GROUP-X25519";
  }
  return "";
}

void AddOnce(std::string& text, std::string_view name) {
  const std::string word = std::string(":+").append(name);
  if ((text + ":").find(word + ":") == text.npos) text += word;
}

// GnuTLS lists the parts of a suite separately, and combines any parts. The certificate's key decides the key exchange,
// so this adds little to the list.
void AddParts(std::string& text, WebConfig::CipherSuite wanted) {
  std::array<unsigned char, 2> id{};
  gnutls_kx_algorithm_t exchange{};
  gnutls_cipher_algorithm_t cipher{};
  gnutls_mac_algorithm_t mac{};
  gnutls_protocol_t version{};
  for (std::size_t i = 0; gnutls_cipher_suite_info(i, id.data(), &exchange, &cipher, &mac, &version) != nullptr; ++i) {
    if (id[0] != wanted >> 8 || id[1] != (wanted & 0xFF)) continue;
    if (version == GNUTLS_TLS1_3) return;
    AddOnce(text, gnutls_kx_get_name(exchange));
    AddOnce(text, gnutls_cipher_get_name(cipher));
    AddOnce(text, gnutls_mac_get_name(mac));
    return;
  }
}

}  // namespace

std::string PriorityText(const WebConfig::Tls& tls, Suites suites) {
  std::string text = "NONE:+COMP-NULL:+SIGN-ALL";
  for (const auto version : {WebConfig::TlsVersion::k13, WebConfig::TlsVersion::k12, WebConfig::TlsVersion::k11,
                             WebConfig::TlsVersion::k10}) {
    if (version >= tls.min_version && version <= tls.max_version) text += NameOf(version);
  }
  if (tls.curve_preferences.empty()) {
    for (const auto curve :
         {WebConfig::Curve::kX25519, WebConfig::Curve::kP256, WebConfig::Curve::kP384, WebConfig::Curve::kP521}) {
      text += NameOf(curve);
    }
  }
  for (const auto curve : tls.curve_preferences) text += NameOf(curve);
  if (suites == Suites::kOf13) {
    text += kSuitesOf13;
  } else if (tls.cipher_suites.empty()) {
    text += kSuitesBefore13;
  } else {
    for (const auto suite : tls.cipher_suites) AddParts(text, suite);
  }
  if (tls.prefer_server_cipher_suites) text += ":%SERVER_PRECEDENCE";
  return text;
}

}  // namespace conntally::http

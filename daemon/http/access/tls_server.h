// The parameters of TLS sessions, from the web configuration, for GnuTLS: our certificate, client certificates,
// versions and ciphers. Immutable once made; any thread.
#pragma once

#include <gnutls/gnutls.h>

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "collectors/system/result.h"
#include "config/fault.h"
#include "config/web/web_config.h"

namespace conntally::http {

class TlsServer {
 public:
  // Reads the files that `tls` names.
  static std::variant<std::unique_ptr<const TlsServer>, ConfigFault> Make(const WebConfig::Tls& tls);

  // Sets up a server session before its handshake; this object must outlive it. Sessions are never resumed, so a client
  // presents its certificate each time.
  void Prepare(gnutls_session_t session) const;

 private:
  struct FreeCredentials {
    void operator()(gnutls_certificate_credentials_t credentials) const {
      gnutls_certificate_free_credentials(credentials);
    }
  };
  struct FreePriority {
    void operator()(gnutls_priority_t priority) const { gnutls_priority_deinit(priority); }
  };
  using Credentials = std::unique_ptr<std::remove_pointer_t<gnutls_certificate_credentials_t>, FreeCredentials>;
  using Priority = std::unique_ptr<std::remove_pointer_t<gnutls_priority_t>, FreePriority>;

  TlsServer() = default;
  std::optional<ConfigFault> LoadKeyPair(const WebConfig::Tls& tls);
  std::optional<ConfigFault> LoadClientAuthorities(const WebConfig::Tls& tls);
  static int OnClientHello(gnutls_session_t session);
  static int OnClientCertificate(gnutls_session_t session);
  bool IsTrusted(gnutls_session_t session) const;
  bool HasAllowedName(const gnutls_datum_t& certificate) const;

  Credentials credentials_;
  Priority before_13_;  // up to TLS 1.2, whose suites are configurable
  Priority of_13_;
  WebConfig::ClientAuth client_auth_ = WebConfig::ClientAuth::kNone;
  std::optional<std::vector<std::string>> client_allowed_sans_;
};

// The pin of the first certificate in `pem`, in libcurl's form: "sha256//" and the digest of its public key.
Result<std::string> PublicKeyPin(const std::string& pem);

}  // namespace conntally::http

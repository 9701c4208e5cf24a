#include "daemon/http/access/tls_server.h"

#include <arpa/inet.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <sodium.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

#include "collectors/system/threads/regular_file.h"
#include "daemon/http/access/tls_priority.h"

namespace conntally::http {
namespace {

constexpr std::size_t kPemBytesMax = 1 << 20;
constexpr std::size_t kNameBytesMax = 1024;

struct FreeCertificate {
  void operator()(gnutls_x509_crt_t certificate) const { gnutls_x509_crt_deinit(certificate); }
};
using Certificate = std::unique_ptr<std::remove_pointer_t<gnutls_x509_crt_t>, FreeCertificate>;

gnutls_datum_t DatumOf(const std::string& text) {
  // GnuTLS only reads it.
  return {reinterpret_cast<unsigned char*>(const_cast<char*>(text.data())), static_cast<unsigned>(text.size())};
}

ConfigFault FaultAt(const config::Place& place, std::string message) {
  return {place.line, place.column, std::move(message)};
}

// The text from one of two keys; the file takes precedence.
std::variant<std::string, ConfigFault> ReadPem(const char* key, const WebConfig::Written& file,
                                               const WebConfig::Written& text) {
  if (file.text.empty()) return text.text;
  auto read = ReadRegularFile(file.text, kPemBytesMax);
  if (read) return std::move(*read);
  return FaultAt(file.place, std::string(key) + "_file: " + file.text + " cannot be read: " + read.error().message);
}

const WebConfig::Written& Used(const WebConfig::Written& file, const WebConfig::Written& text) {
  return file.text.empty() ? text : file;
}

Certificate ImportCertificate(const gnutls_datum_t& data, gnutls_x509_crt_fmt_t format) {
  gnutls_x509_crt_t imported = nullptr;
  if (gnutls_x509_crt_init(&imported) != GNUTLS_E_SUCCESS) return nullptr;
  Certificate certificate(imported);
  return gnutls_x509_crt_import(imported, &data, format) == GNUTLS_E_SUCCESS ? std::move(certificate) : nullptr;
}

bool IsPrivateKey(const gnutls_datum_t& pem) {
  gnutls_x509_privkey_t key = nullptr;
  if (gnutls_x509_privkey_init(&key) != GNUTLS_E_SUCCESS) return false;
  const bool is_key = gnutls_x509_privkey_import2(key, &pem, GNUTLS_X509_FMT_PEM, nullptr, 0) == GNUTLS_E_SUCCESS;
  gnutls_x509_privkey_deinit(key);
  return is_key;
}

// In Go's form.
std::string NameOf(int kind, const char* name, std::size_t size) {
  if (kind != GNUTLS_SAN_IPADDRESS) return {name, size};
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool is_v6 = size == sizeof(in6_addr);
  const bool is_mapped = is_v6 && IN6_IS_ADDR_V4MAPPED(reinterpret_cast<const in6_addr*>(name));
  if (!is_v6 && size != sizeof(in_addr)) return {};
  inet_ntop(is_v6 && !is_mapped ? AF_INET6 : AF_INET, name + (is_mapped ? size - sizeof(in_addr) : 0), text.data(),
            text.size());
  return text.data();
}

}  // namespace

std::variant<std::unique_ptr<const TlsServer>, ConfigFault> TlsServer::Make(const WebConfig::Tls& tls) {
  std::unique_ptr<TlsServer> made(new TlsServer);
  gnutls_certificate_credentials_t credentials = nullptr;
  if (gnutls_certificate_allocate_credentials(&credentials) != GNUTLS_E_SUCCESS) return ConfigFault{1, 1, "no memory"};
  made->credentials_.reset(credentials);
  made->client_auth_ = tls.client_auth.value_or(WebConfig::ClientAuth::kNone);
  made->client_allowed_sans_ = tls.client_allowed_sans;
  if (auto fault = made->LoadKeyPair(tls)) return *std::move(fault);
  if (auto fault = made->LoadClientAuthorities(tls)) return *std::move(fault);
  gnutls_certificate_set_verify_function(credentials, &OnClientCertificate);
  for (const auto& [suites, into] : {std::pair{Suites::kBefore13, &made->before_13_}, {Suites::kOf13, &made->of_13_}}) {
    gnutls_priority_t priority = nullptr;
    const int code = gnutls_priority_init(&priority, PriorityText(tls, suites).c_str(), nullptr);
    if (code != GNUTLS_E_SUCCESS) {
      return FaultAt(Used(tls.certificate_file, tls.certificate).place,
                     std::string("these versions, ciphers and curves cannot go together: ") + gnutls_strerror(code));
    }
    into->reset(priority);
  }
  return std::unique_ptr<const TlsServer>(std::move(made));
}

std::optional<ConfigFault> TlsServer::LoadKeyPair(const WebConfig::Tls& tls) {
  const auto certificate = ReadPem("tls_server_config.cert", tls.certificate_file, tls.certificate);
  if (const auto* fault = std::get_if<ConfigFault>(&certificate)) return *fault;
  const auto key = ReadPem("tls_server_config.key", tls.key_file, tls.key);
  if (const auto* fault = std::get_if<ConfigFault>(&key)) return *fault;
  const auto certificate_datum = DatumOf(std::get<std::string>(certificate));
  const auto key_datum = DatumOf(std::get<std::string>(key));
  const int code = gnutls_certificate_set_x509_key_mem2(credentials_.get(), &certificate_datum, &key_datum,
                                                        GNUTLS_X509_FMT_PEM, nullptr, 0);
  if (code >= 0) return std::nullopt;
  if (!ImportCertificate(certificate_datum, GNUTLS_X509_FMT_PEM))
    return FaultAt(Used(tls.certificate_file, tls.certificate).place,
                   "tls_server_config: the certificate cannot be used: it is none in PEM");
  return FaultAt(Used(tls.key_file, tls.key).place,
                 std::string("tls_server_config: the key cannot be used: ") +
                     (IsPrivateKey(key_datum) ? gnutls_strerror(code) : "it is none in PEM, without a passphrase"));
}

std::optional<ConfigFault> TlsServer::LoadClientAuthorities(const WebConfig::Tls& tls) {
  const auto& used = Used(tls.client_ca_file, tls.client_ca);
  if (used.text.empty()) {
    // Like Go: by default the CAs that this host trusts.
    if (client_auth_ >= WebConfig::ClientAuth::kVerifyIfGiven) {
      gnutls_certificate_set_x509_system_trust(credentials_.get());
    }
    return std::nullopt;
  }
  const auto authorities = ReadPem("tls_server_config.client_ca", tls.client_ca_file, tls.client_ca);
  if (const auto* fault = std::get_if<ConfigFault>(&authorities)) return *fault;
  const auto datum = DatumOf(std::get<std::string>(authorities));
  const int count = gnutls_certificate_set_x509_trust_mem(credentials_.get(), &datum, GNUTLS_X509_FMT_PEM);
  if (count > 0) return std::nullopt;
  return FaultAt(used.place, "tls_server_config: there is no certificate of a clients' CA; allowed: PEM");
}

void TlsServer::Prepare(gnutls_session_t session) const {
  gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials_.get());
  gnutls_priority_set(session, of_13_.get());
  gnutls_handshake_set_post_client_hello_function(session, &OnClientHello);
  // Uses the pointer of the session cache, which we do not use: libmicrohttpd uses the session's own pointer.
  gnutls_db_set_ptr(session, const_cast<TlsServer*>(this));
  switch (client_auth_) {
    case WebConfig::ClientAuth::kNone: gnutls_certificate_server_set_request(session, GNUTLS_CERT_IGNORE); break;
    case WebConfig::ClientAuth::kRequest:
    case WebConfig::ClientAuth::kVerifyIfGiven:
      gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
      break;
    case WebConfig::ClientAuth::kRequireAny:
    case WebConfig::ClientAuth::kRequireAndVerify:
      gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
      break;
  }
  std::string protocol = "http/1.1";
  const auto datum = DatumOf(protocol);
  gnutls_alpn_set_protocols(session, &datum, 1, 0);
}

// The version is negotiated, the suite not yet.
int TlsServer::OnClientHello(gnutls_session_t session) {
  const auto& self = *static_cast<const TlsServer*>(gnutls_db_get_ptr(session));
  if (gnutls_protocol_get_version(session) == GNUTLS_TLS1_3) return GNUTLS_E_SUCCESS;
  return gnutls_priority_set(session, self.before_13_.get());
}

int TlsServer::OnClientCertificate(gnutls_session_t session) {
  const auto& self = *static_cast<const TlsServer*>(gnutls_db_get_ptr(session));
  unsigned count = 0;
  const gnutls_datum_t* chain = gnutls_certificate_get_peers(session, &count);
  const bool is_given = chain != nullptr && count > 0;
  const bool is_verified = self.client_auth_ >= WebConfig::ClientAuth::kVerifyIfGiven;
  const bool is_welcome =
      is_given ? (!is_verified || self.IsTrusted(session)) && self.HasAllowedName(*chain) : !self.client_allowed_sans_;
  if (!is_welcome) spdlog::debug("a client's certificate was refused");
  return is_welcome ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

bool TlsServer::IsTrusted(gnutls_session_t session) const {
  gnutls_typed_vdata_st purpose{};
  purpose.type = GNUTLS_DT_KEY_PURPOSE_OID;
  purpose.data = reinterpret_cast<unsigned char*>(const_cast<char*>(GNUTLS_KP_TLS_WWW_CLIENT));
  unsigned status = 0;
  return gnutls_certificate_verify_peers(session, &purpose, 1, &status) == GNUTLS_E_SUCCESS && status == 0;
}

bool TlsServer::HasAllowedName(const gnutls_datum_t& der) const {
  if (!client_allowed_sans_) return true;
  const Certificate certificate = ImportCertificate(der, GNUTLS_X509_FMT_DER);
  if (!certificate) return false;
  for (unsigned i = 0;; ++i) {
    std::array<char, kNameBytesMax> name{};
    std::size_t size = name.size();
    const int kind = gnutls_x509_crt_get_subject_alt_name(certificate.get(), i, name.data(), &size, nullptr);
    if (kind == GNUTLS_E_SHORT_MEMORY_BUFFER) continue;
    if (kind < 0) return false;
    const bool counts = kind == GNUTLS_SAN_DNSNAME || kind == GNUTLS_SAN_RFC822NAME || kind == GNUTLS_SAN_URI ||
                        kind == GNUTLS_SAN_IPADDRESS;
    if (counts &&
        std::ranges::find(*client_allowed_sans_, NameOf(kind, name.data(), size)) != client_allowed_sans_->end()) {
      return true;
    }
  }
}

Result<std::string> PublicKeyPin(const std::string& pem) {
  const Error refused{"there is no certificate in it"};
  const Certificate certificate = ImportCertificate(DatumOf(pem), GNUTLS_X509_FMT_PEM);
  if (!certificate) return refused;
  gnutls_pubkey_t key = nullptr;
  gnutls_pubkey_init(&key);
  gnutls_datum_t der{};
  const bool exported = gnutls_pubkey_import_x509(key, certificate.get(), 0) == GNUTLS_E_SUCCESS &&
                        gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &der) == GNUTLS_E_SUCCESS;
  gnutls_pubkey_deinit(key);
  if (!exported) return refused;
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest{};
  crypto_hash_sha256(digest.data(), der.data, der.size);
  gnutls_free(der.data);
  std::array<char, sodium_base64_ENCODED_LEN(crypto_hash_sha256_BYTES, sodium_base64_VARIANT_ORIGINAL)> text{};
  sodium_bin2base64(text.data(), text.size(), digest.data(), digest.size(), sodium_base64_VARIANT_ORIGINAL);
  return std::string("sha256//") + text.data();
}

}  // namespace conntally::http

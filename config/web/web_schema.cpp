#include "config/web/web_schema.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "config/values.h"

namespace conntally::config {
namespace {

using Tls = WebConfig::Tls;
using Written = WebConfig::Written;
using std::chrono::nanoseconds;

constexpr std::size_t kListMax = 1000;
constexpr std::uint32_t kBurstMax = 1U << 30;
constexpr std::size_t kHeaderBytesMax = 4096;

constexpr std::array kClientAuths = {
    Choice<WebConfig::ClientAuth>{"NoClientCert", WebConfig::ClientAuth::kNone},
    Choice<WebConfig::ClientAuth>{"RequestClientCert", WebConfig::ClientAuth::kRequest},
    Choice<WebConfig::ClientAuth>{"RequireAnyClientCert", WebConfig::ClientAuth::kRequireAny},
    Choice<WebConfig::ClientAuth>{"RequireClientCert", WebConfig::ClientAuth::kRequireAny, true},
    Choice<WebConfig::ClientAuth>{"VerifyClientCertIfGiven", WebConfig::ClientAuth::kVerifyIfGiven},
    Choice<WebConfig::ClientAuth>{"RequireAndVerifyClientCert", WebConfig::ClientAuth::kRequireAndVerify},
};
constexpr std::array kTlsVersions = {
    Choice<WebConfig::TlsVersion>{"TLS10", WebConfig::TlsVersion::k10},
    Choice<WebConfig::TlsVersion>{"TLS11", WebConfig::TlsVersion::k11},
    Choice<WebConfig::TlsVersion>{"TLS12", WebConfig::TlsVersion::k12},
    Choice<WebConfig::TlsVersion>{"TLS13", WebConfig::TlsVersion::k13},
};
constexpr std::array kCurves = {
    Choice<WebConfig::Curve>{"CurveP256", WebConfig::Curve::kP256},
    Choice<WebConfig::Curve>{"CurveP384", WebConfig::Curve::kP384},
    Choice<WebConfig::Curve>{"CurveP521", WebConfig::Curve::kP521},
    Choice<WebConfig::Curve>{"X25519", WebConfig::Curve::kX25519},
};
// The suites that Go calls secure, now or in earlier versions. Those of TLS 1.3 are not configurable.
constexpr std::uint16_t kEcdheEcdsaAes128Gcm = 0xC02B;
constexpr std::uint16_t kEcdheRsaAes128Gcm = 0xC02F;
constexpr std::array kCipherSuites = {
    Choice<std::uint16_t>{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", kEcdheEcdsaAes128Gcm},
    Choice<std::uint16_t>{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 0xC02C},
    Choice<std::uint16_t>{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", kEcdheRsaAes128Gcm},
    Choice<std::uint16_t>{"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 0xC030},
    Choice<std::uint16_t>{"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 0xCCA9},
    Choice<std::uint16_t>{"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xCCA8},
    Choice<std::uint16_t>{"TLS_AES_128_GCM_SHA256", 0x1301},
    Choice<std::uint16_t>{"TLS_AES_256_GCM_SHA384", 0x1302},
    Choice<std::uint16_t>{"TLS_CHACHA20_POLY1305_SHA256", 0x1303},
    Choice<std::uint16_t>{"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", 0xC009},
    Choice<std::uint16_t>{"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", 0xC00A},
    Choice<std::uint16_t>{"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", 0xC013},
    Choice<std::uint16_t>{"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", 0xC014},
    Choice<std::uint16_t>{"TLS_RSA_WITH_AES_128_GCM_SHA256", 0x009C, true},
    Choice<std::uint16_t>{"TLS_RSA_WITH_AES_256_GCM_SHA384", 0x009D, true},
    Choice<std::uint16_t>{"TLS_RSA_WITH_AES_128_CBC_SHA", 0x002F, true},
    Choice<std::uint16_t>{"TLS_RSA_WITH_AES_256_CBC_SHA", 0x0035, true},
};

// A header and its allowed values; any value, if none is listed.
struct Header {
  std::string name;
  std::vector<std::string> allowed = {};
};
const std::vector<Header>& Headers() {
  static const std::vector<Header> headers = {{"Content-Security-Policy"},
                                              {"Strict-Transport-Security"},
                                              {"X-Content-Type-Options", {"nosniff"}},
                                              {"X-Frame-Options", {"deny", "sameorigin"}},
                                              {"X-XSS-Protection"}};
  return headers;
}

// Other readers of this format treat a key without a value as absent.
template <typename T>
Schema<T> OrNothing(Schema<T> schema) {
  auto read = [inner = std::move(schema.read)](const Node& node, T& into, Reading& reading) {
    return node.kind == Node::Kind::kNull || inner(node, into, reading);
  };
  return {std::move(read), std::move(schema.keys)};
}

template <typename T>
Schema<std::optional<T>> Given(Schema<T> schema) {
  auto read = [inner = std::move(schema.read)](const Node& node, std::optional<T>& into, Reading& reading) {
    if (node.kind == Node::Kind::kNull) return true;
    return inner(node, into.emplace(), reading);
  };
  return {std::move(read), std::move(schema.keys)};
}

Schema<Written> Text() {
  return OrNothing<Written>({[](const Node& node, Written& into, Reading& reading) {
    into = {node.text, node.place};
    return reading.ExpectScalar(node, "a text");
  }});
}

Schema<std::optional<WebConfig::ClientAuth>> ClientAuthPolicy() {
  const auto words = OneOf(kClientAuths);
  return {[words](const Node& node, std::optional<WebConfig::ClientAuth>& into, Reading& reading) {
    const bool is_empty = node.kind == Node::Kind::kNull || (node.kind == Node::Kind::kScalar && node.text.empty());
    return is_empty || words.read(node, into.emplace(), reading);
  }};
}

std::optional<std::string> FindTlsProblem(const Tls& tls) {
  if (!tls.on()) return std::nullopt;
  if (tls.certificate.text.empty() && tls.certificate_file.text.empty())
    return "there is no certificate; allowed: one of cert_file and cert";
  if (tls.key.text.empty() && tls.key_file.text.empty()) return "there is no key; allowed: one of key_file and key";
  const bool asks = tls.client_auth.value_or(WebConfig::ClientAuth::kNone) != WebConfig::ClientAuth::kNone;
  if (!asks && !(tls.client_ca.text.empty() && tls.client_ca_file.text.empty()))
    return "clients' CA without a client_auth_type that asks for their certificates; allowed: "
           "RequireAndVerifyClientCert";
  if (tls.min_version > tls.max_version) return "min_version is above max_version; allowed: up to it";
  return std::nullopt;
}

// Requirements for HTTP/2, which other readers of this format serve. We refuse a file that they refuse.
std::optional<std::string> FindHttp2Problem(const WebConfig& config) {
  const auto& suites = config.tls.cipher_suites;
  const auto has = [&](std::uint16_t suite) { return std::ranges::find(suites, suite) != suites.end(); };
  const bool is_well = !config.tls.on() || !config.http.http2 || suites.empty() ||
                       config.tls.min_version == WebConfig::TlsVersion::k13 || has(kEcdheRsaAes128Gcm) ||
                       has(kEcdheEcdsaAes128Gcm);
  if (is_well) return std::nullopt;
  return "cipher_suites has none of those that HTTP/2 requires; allowed: TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 or "
         "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 among them, or http_server_config: {http2: false}";
}

Schema<Tls> TlsSchema() {
  const auto line = LineOfText(kHeaderBytesMax);
  return Map<Tls>(
      {
          Key("cert", &Tls::certificate, Text()),
          Key("cert_file", &Tls::certificate_file, Text()),
          Key("key", &Tls::key, Text()),
          Key("key_file", &Tls::key_file, Text()),
          Key("client_ca", &Tls::client_ca, Text()),
          Key("client_ca_file", &Tls::client_ca_file, Text()),
          Key("client_auth_type", &Tls::client_auth, ClientAuthPolicy()),
          Key("client_allowed_sans", &Tls::client_allowed_sans, Given(List<std::string>(line, kListMax, {}))),
          Key("min_version", &Tls::min_version, OneOf(kTlsVersions)),
          Key("max_version", &Tls::max_version, OneOf(kTlsVersions)),
          Key("cipher_suites", &Tls::cipher_suites, OrNothing(List<std::uint16_t>(OneOf(kCipherSuites), kListMax, {}))),
          Key("prefer_server_cipher_suites", &Tls::prefer_server_cipher_suites, OrNothing(Boolean())),
          Key("curve_preferences", &Tls::curve_preferences,
              OrNothing(List<WebConfig::Curve>(OneOf(kCurves), kListMax, {}))),
      },
      Check<Tls>{{"cert", "key", "client_ca", "cert_file", "key_file", "client_auth_type", "client_ca_file",
                  "min_version", "max_version"},
                 FindTlsProblem});
}

bool ReadHeader(const Header& header, const Node& node, std::string& into, Reading& reading) {
  const Reading::Inside inside(reading, header.name);
  if (node.kind == Node::Kind::kNull) return true;
  if (!LineOfText(kHeaderBytesMax).read(node, into, reading)) return false;
  const auto& allowed = header.allowed;
  if (allowed.empty() || std::ranges::find(allowed, into) != allowed.end()) return true;
  std::string words;
  for (const std::string& word : allowed) words.append(words.empty() ? "" : " or ").append(word);
  reading.Fault(node, Quoted(into) + " is unknown; allowed: " + words);
  return false;
}

Schema<std::map<std::string, std::string>> HeadersSchema() {
  return {[](const Node& node, std::map<std::string, std::string>& into, Reading& reading) {
    if (!reading.ExpectMap(node)) return false;
    std::vector<std::string> names;
    for (const Header& header : Headers()) names.push_back(header.name);
    std::vector<const Node*> found;
    bool fits = FindFields(node, names, std::vector<bool>(names.size()), found, reading);
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (found[i] != nullptr) fits = ReadHeader(Headers()[i], *found[i], into[names[i]], reading) && fits;
    }
    return fits;
  }};
}

// Never repeats the value in place of a hash: it may be the password itself.
bool ReadUser(const Node& name, const Node& hash, std::map<std::string, std::string>& into, Reading& reading) {
  const Reading::Inside inside(reading, IsLabelName(name.text) ? name.text : Quoted(name.text));
  if (name.kind != Node::Kind::kScalar || name.text.find(':') != name.text.npos) {
    reading.Fault(name, "this cannot be a user's name; allowed: a text without a colon");
    return false;
  }
  if (hash.kind != Node::Kind::kScalar || !BcryptCost(hash.text)) {
    reading.Fault(
        hash, "this is no password hashed with bcrypt; allowed: what `htpasswd -nBC 10 \"\" | tr -d ':\\n'` prints");
    return false;
  }
  const bool is_new = into.emplace(name.text, hash.text).second;
  if (!is_new) reading.Fault(name, "given twice; allowed: once");
  return is_new;
}

Schema<std::map<std::string, std::string>> UsersSchema() {
  return {[](const Node& node, std::map<std::string, std::string>& into, Reading& reading) {
    if (!reading.ExpectMap(node)) return false;
    bool fits = true;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      fits = ReadUser(node.keys[i], node.items[i], into, reading) && fits;
    }
    return fits;
  }};
}

// Go's notation: units may follow each other, and a number alone means nanoseconds.
std::optional<nanoseconds> ParseInterval(std::string_view text) {
  struct UnitOfTime {
    std::string_view name;
    double in_nanoseconds;
  };
  constexpr std::array kUnits = {UnitOfTime{"ns", 1},        UnitOfTime{"us", 1e3},  UnitOfTime{"\u00b5s", 1e3},
                                 UnitOfTime{"\u03bcs", 1e3}, UnitOfTime{"ms", 1e6},  UnitOfTime{"s", 1e9},
                                 UnitOfTime{"m", 60e9},      UnitOfTime{"h", 3600e9}};
  constexpr double kMost = 86'400e9 * 365;
  if (text.empty()) return std::nullopt;
  const bool is_bare = text.find_first_not_of("0123456789") == text.npos;
  double total = 0;
  while (!text.empty()) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
    const auto number = ParseDecimal(text.substr(0, digits));
    text.remove_prefix(digits);
    const std::string_view name = text.substr(0, text.find_first_of("0123456789."));
    text.remove_prefix(name.size());
    const auto* unit = std::ranges::find(kUnits, is_bare ? "ns" : name, &UnitOfTime::name);
    if (!number || unit == kUnits.end()) return std::nullopt;
    total += *number * unit->in_nanoseconds;
  }
  if (total > kMost) return std::nullopt;
  return nanoseconds(std::llround(total));
}

Schema<WebConfig::RateLimit> RateLimitSchema() {
  using RateLimit = WebConfig::RateLimit;
  const auto interval = Scalar<nanoseconds>("a time such as 50ms, 1s or 1m30s, a year at most; 0 for no limit",
                                            [](std::string_view text) -> Result<nanoseconds> {
                                              if (const auto parsed = ParseInterval(text)) return *parsed;
                                              return Error{Quoted(text) + " is not a time"};
                                            });
  return Map<RateLimit>({Key("interval", &RateLimit::interval, OrNothing(interval)),
                         Key("burst", &RateLimit::burst, OrNothing(Integer<std::uint32_t>(0, kBurstMax)))});
}

}  // namespace

std::optional<unsigned> BcryptCost(std::string_view hash) {
  constexpr std::size_t kBytes = 59;  // with a version of one character
  if (hash.size() < kBytes || !hash.starts_with("$2")) return std::nullopt;
  hash.remove_prefix(hash[2] == '$' ? 2 : 3);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (hash[0] != '$' || !is_digit(hash[1]) || !is_digit(hash[2]) || hash[3] != '$') return std::nullopt;
  const auto cost = static_cast<unsigned>((hash[1] - '0') * 10 + hash[2] - '0');
  if (cost < 4 || cost > 31) return std::nullopt;
  return cost;
}

const Schema<WebConfig>& WebConfigSchema() {
  using Http = WebConfig::Http;
  static const Schema<WebConfig> schema =
      Map<WebConfig>({Key("tls_server_config", &WebConfig::tls, TlsSchema()),
                      Key("http_server_config", &WebConfig::http,
                          Map<Http>({Key("http2", &Http::http2, OrNothing(Boolean())),
                                     Key("headers", &Http::headers, HeadersSchema())})),
                      Key("rate_limit", &WebConfig::rate_limit, RateLimitSchema()),
                      Key("basic_auth_users", &WebConfig::users, UsersSchema())},
                     Check<WebConfig>{{"tls_server_config"}, FindHttp2Problem});
  return schema;
}

}  // namespace conntally::config

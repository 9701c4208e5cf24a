#include "daemon/command_line/client/ask_daemon.h"

#include <curl/curl.h>

#include <memory>
#include <ostream>
#include <variant>

#include "collectors/addresses/address.h"
#include "collectors/system/threads/regular_file.h"
#include "config/notation/notation.h"
#include "config/parse.h"
#include "config/web/web_config.h"
#include "daemon/http/access/tls_server.h"

namespace conntally {
namespace {

constexpr std::size_t kAnswerBytesMax = 16 << 20;
constexpr std::size_t kCertificateBytesMax = 1 << 20;
constexpr std::size_t kPasswordBytesMax = 4096;

std::size_t AppendAnswer(char* data, std::size_t size, std::size_t count, void* answer) {
  auto& text = *static_cast<std::string*>(answer);
  if (text.size() + size * count > kAnswerBytesMax) return 0;  // curl treats that as an error
  text.append(data, size * count);
  return size * count;
}

int IsStopped(void* stop, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const std::stop_token*>(stop)->stop_requested() ? 1 : 0;
}

// Uses TLS if this host's web configuration does, and pins its key, so the certificate needs no matching name. If the
// file is not readable, the daemon's answer says what it requires.
void TakeWebConfig(const std::string& path, DaemonPeer& peer) {
  if (path.empty()) return;
  const auto loaded = LoadWebConfigFile(path);
  const auto* web = std::get_if<WebConfig>(&loaded);
  if (web == nullptr || !web->tls.on()) return;
  peer.url.replace(0, std::string_view("http").size(), "https");
  const auto& tls = web->tls;
  const auto pem = tls.certificate_file.text.empty() ? Result<std::string>(tls.certificate.text)
                                                     : ReadRegularFile(tls.certificate_file.text, kCertificateBytesMax);
  if (!pem) return;
  if (auto pin = http::PublicKeyPin(*pem)) peer.pin = *std::move(pin);
}

// A hint at the cause, for libcurl's error.
std::string HintFor(CURLcode code, long status, const DaemonPeer& peer) {
  constexpr long kUnauthorized = 401;
  if (status == kUnauthorized) {
    return std::string(peer.client.basic_auth.username.empty() ? "; it wants a user's name and password"
                                                               : "; it does not know this user or password") +
           ": basic_auth: {username: …, password_file: …} in the file of --http.config.file";
  }
  const bool is_tls = peer.url.starts_with("https");
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
      return "; name who signed its certificate: tls_config: {ca_file: …} in the file of --http.config.file";
    case CURLE_SSL_CONNECT_ERROR: return "; does it speak TLS there? --url says http:// or https://";
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
      return is_tls ? "; it may want a client's certificate: tls_config: {cert_file: …, key_file: …} in the file of "
                      "--http.config.file"
                    : "; it may speak TLS: --url https://…";
    default: return "";
  }
}

// Without the file's trailing newline.
Result<std::string> PasswordOf(const ClientConfig::BasicAuth& basic) {
  if (basic.password_file.empty()) return basic.password;
  auto read = ReadRegularFile(basic.password_file, kPasswordBytesMax);
  if (!read) return Error{basic.password_file + " cannot be read: " + read.error().message};
  while (read->ends_with('\n') || read->ends_with('\r')) read->pop_back();
  return read;
}

Status SetIdentity(CURL* curl, const DaemonPeer& peer) {
  const auto& [basic, tls] = peer.client;
  const auto set = [curl](CURLoption option, const std::string& text) {
    if (!text.empty()) curl_easy_setopt(curl, option, text.c_str());
  };
  if (!basic.username.empty()) {
    const auto password = PasswordOf(basic);
    if (!password) return password.error();
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    set(CURLOPT_USERNAME, basic.username);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, password->c_str());
  }
  set(CURLOPT_SSLCERT, tls.cert_file);
  set(CURLOPT_SSLKEY, tls.key_file);
  set(CURLOPT_CAINFO, tls.ca_file);
  const bool is_pinned = !peer.pin.empty() && tls.ca_file.empty() && !tls.insecure_skip_verify;
  if (is_pinned) set(CURLOPT_PINNEDPUBLICKEY, peer.pin);
  if (is_pinned || tls.insecure_skip_verify) {
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  return Ok();
}

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, FreeList>;

// For a certificate with another name: puts that name into the URL, and connects to the real address.
std::string UrlByServerName(CURL* curl, const DaemonPeer& peer, List& connect_to) {
  const std::string& name = peer.client.tls.server_name;
  if (name.empty()) return peer.url;
  const std::size_t host = peer.url.find("://") + 3;
  const std::size_t colon = peer.url.rfind(':');
  const bool has_port = colon > host && peer.url.find(']', colon) == peer.url.npos;
  const std::string port = has_port ? peer.url.substr(colon) : peer.url.starts_with("https") ? ":443" : ":80";
  const std::string place = peer.url.substr(host, has_port ? colon - host : std::string::npos);
  connect_to.reset(curl_slist_append(nullptr, (name + port + ":" + place + port).c_str()));
  curl_easy_setopt(curl, CURLOPT_CONNECT_TO, connect_to.get());
  return peer.url.substr(0, host) + name + port;
}

}  // namespace

std::optional<DaemonPeer> FindDaemon(const Config& config, const PeerFlags& flags, std::ostream& errors) {
  DaemonPeer peer;
  if (flags.url) {
    peer.url = *flags.url;
    while (peer.url.ends_with('/')) peer.url.pop_back();
  } else {
    peer.url = DaemonUrl(config.web.listen_addresses.front());
    TakeWebConfig(config.web.config_file, peer);
  }
  if (!flags.client_config_path) return peer;
  auto client = LoadClientConfigFile(*flags.client_config_path);
  if (const auto* faults = std::get_if<std::vector<ConfigFault>>(&client)) {
    for (const ConfigFault& fault : *faults) errors << Describe(fault, *flags.client_config_path) << '\n';
    return std::nullopt;
  }
  peer.client = std::get<ClientConfig>(std::move(client));
  return peer;
}

std::string DaemonUrl(const std::string& listen_address, std::uint16_t bound_port, std::string_view scheme) {
  const std::string start = std::string(scheme) + "://";
  const auto parsed = ParseListenAddress(listen_address);
  if (!parsed) return start + listen_address;  // not reached: the configuration has refused it
  std::string host = parsed->host;
  const auto address = IpAddress::Parse(host);
  const bool every_address = host.empty() || (address && address->bytes == IpAddress{}.bytes);
  // It always accepts IPv4, but IPv6 only if the kernel has it.
  if (every_address) host = "127.0.0.1";
  if (const std::size_t zone = host.find('%'); zone != host.npos) host.replace(zone, 1, "%25");  // RFC 6874
  if (host.find(':') != host.npos) host = "[" + host + "]";
  return start + host + ":" + std::to_string(bound_port != 0 ? bound_port : parsed->port);
}

Result<std::string> AskDaemon(const DaemonPeer& peer, const std::string& path, std::chrono::milliseconds patience,
                              const std::stop_token& stop) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  if (!curl) return Error{"cannot set up libcurl"};
  if (const Status set = SetIdentity(curl.get(), peer); !set) return set.error();
  List connect_to;
  const std::string url = UrlByServerName(curl.get(), peer, connect_to) + path;
  std::string answer;
  std::stop_token stopped = stop;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(patience.count()));
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl.get(), CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, AppendAnswer);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, IsStopped);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &stopped);
  const CURLcode code = curl_easy_perform(curl.get());
  if (code == CURLE_OK) return answer;
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  const int error = code == CURLE_ABORTED_BY_CALLBACK ? ECANCELED : status >= 400 ? static_cast<int>(status) : 0;
  const std::string what = status >= 400 ? "HTTP status " + std::to_string(status) : curl_easy_strerror(code);
  return Error{"no answer from " + peer.url + path + ": " + what + HintFor(code, status, peer), error};
}

}  // namespace conntally

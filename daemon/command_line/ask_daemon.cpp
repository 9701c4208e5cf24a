#include "daemon/command_line/ask_daemon.h"

#include <curl/curl.h>

#include <memory>

#include "collectors/tally/address.h"
#include "config/notation.h"

namespace conntally {
namespace {

constexpr std::size_t kAnswerBytesMax = 16 << 20;

std::size_t AppendAnswer(char* data, std::size_t size, std::size_t count, void* answer) {
  auto& text = *static_cast<std::string*>(answer);
  if (text.size() + size * count > kAnswerBytesMax) return 0;  // curl takes that as an error
  text.append(data, size * count);
  return size * count;
}

int IsStopped(void* stop, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const std::stop_token*>(stop)->stop_requested() ? 1 : 0;
}

}  // namespace

std::string DaemonUrl(const std::string& listen_address, std::uint16_t bound_port) {
  const auto parsed = ParseListenAddress(listen_address);
  if (!parsed) return "http://" + listen_address;  // the configuration has refused it before
  std::string host = parsed->host;
  const auto address = IpAddress::Parse(host);
  const bool every_address = host.empty() || (address && address->bytes == IpAddress{}.bytes);
  // It takes IPv4 in any case, but IPv6 only where the kernel has it.
  if (every_address) host = "127.0.0.1";
  if (const std::size_t zone = host.find('%'); zone != host.npos) host.replace(zone, 1, "%25");  // RFC 6874
  if (host.find(':') != host.npos) host = "[" + host + "]";
  return "http://" + host + ":" + std::to_string(bound_port != 0 ? bound_port : parsed->port);
}

Result<std::string> AskDaemon(const std::string& url, std::chrono::milliseconds patience, const std::stop_token& stop) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  if (!curl) return Error{"cannot set up libcurl"};
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
  return Error{"no answer from " + url + ": " + curl_easy_strerror(code), error};
}

}  // namespace conntally

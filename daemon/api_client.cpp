#include "daemon/api_client.h"

#include <curl/curl.h>

#include <memory>
#include <string_view>

namespace conntally {
namespace {

constexpr std::size_t kAnswerBytesMax = 1 << 20;

std::size_t AppendAnswer(char* data, std::size_t size, std::size_t count, void* answer) {
  auto& text = *static_cast<std::string*>(answer);
  if (text.size() + size * count > kAnswerBytesMax) return 0;  // curl takes that as an error
  text.append(data, size * count);
  return size * count;
}

}  // namespace

Result<std::string> AskDaemon(std::string listen_address, const std::string& path, std::chrono::milliseconds timeout) {
  const auto replace_host = [&](std::string_view any, std::string_view own) {
    if (listen_address.starts_with(any)) listen_address.replace(0, any.size(), own);
  };
  replace_host("0.0.0.0:", "127.0.0.1:");
  replace_host("[::]:", "[::1]:");
  replace_host(":", "127.0.0.1:");
  const std::string url = "http://" + listen_address + path;

  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  if (!curl) return Error{"cannot set up libcurl"};
  std::string answer;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, AppendAnswer);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer);
  const CURLcode code = curl_easy_perform(curl.get());
  if (code != CURLE_OK) return Error{"no answer from " + url + ": " + curl_easy_strerror(code)};
  return answer;
}

}  // namespace conntally

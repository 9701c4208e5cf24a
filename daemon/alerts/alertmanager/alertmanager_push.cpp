#include "daemon/alerts/alertmanager/alertmanager_push.h"

#include <curl/curl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "collectors/system/result.h"
#include "collectors/system/threads/worker_thread.h"
#include "daemon/alerts/alertmanager/alertmanager_outbox.h"
#include "daemon/alerts/alertmanager/alertmanager_secret.h"
#include "daemon/alerts/alertmanager/alertmanager_tls.h"

namespace conntally {
namespace {

constexpr long kTimeoutMs = 10'000;
constexpr long kConnectTimeoutMs = 5'000;
constexpr std::size_t kAnswerBytesMax = 300;  // of a refusal's text, for the log

AlertmanagerOutbox::Moment OutboxMoment() {
  return {std::chrono::steady_clock::now(),
          std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now())};
}

std::size_t KeepBeginning(char* data, std::size_t size, std::size_t count, void* answer) {
  auto& text = *static_cast<std::string*>(answer);
  text.append(data, std::min(size * count, kAnswerBytesMax - std::min(kAnswerBytesMax, text.size())));
  return size * count;
}

std::string HostName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

bool Pushed(const Config::Alertmanager& config, Severity severity) {
  constexpr std::array kAs = {Config::Severity::kInfo, Config::Severity::kWarning, Config::Severity::kCritical};
  return std::ranges::count(config.severities, kAs[static_cast<std::size_t>(severity)]) > 0;
}

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeHeaders {
  void operator()(curl_slist* headers) const { curl_slist_free_all(headers); }
};
using Headers = std::unique_ptr<curl_slist, FreeHeaders>;

void AddHeader(Headers& headers, const std::string& line) {
  if (curl_slist* longer = curl_slist_append(headers.get(), line.c_str())) {
    static_cast<void>(headers.release());
    headers.reset(longer);
  }
}

}  // namespace

struct AlertmanagerPush::Multi {
  Multi() : handle(curl_multi_init()) {
    if (handle == nullptr) throw std::runtime_error("cannot set up libcurl, which tells the Alertmanagers");
  }
  ~Multi() { curl_multi_cleanup(handle); }
  CURLM* handle;
};

// One Alertmanager, and the current request to it, if any.
struct AlertmanagerPush::Endpoint {
  explicit Endpoint(std::string its_url) : url(std::move(its_url)) {}

  std::string url;
  AlertmanagerOutbox outbox;
  NotificationFigures figures{url, 0, 0};
  bool failing = false;  // as last logged

  std::unique_ptr<CURL, FreeEasy> easy;
  Headers headers;
  AlertmanagerOutbox::Message message;
  std::string answer;

  Result<Unit> Prepare(const Config::Alertmanager& config) {
    std::string target = url;
    while (target.ends_with('/')) target.pop_back();
    target += "/api/v2/alerts";
    answer.clear();
    headers.reset();
    AddHeader(headers, "Content-Type: application/json");
    AddHeader(headers, "Expect:");
    easy.reset(curl_easy_init());
    if (!easy) return Error{"cannot set up libcurl"};
    CURL* const handle = easy.get();
    if (!config.bearer_token_file.empty()) {
      const auto token = ReadSecret(config.bearer_token_file);
      if (!token) return token.error();
      AddHeader(headers, "Authorization: Bearer " + *token);
    } else if (!config.basic_auth.username.empty()) {
      const auto password = ReadSecret(config.basic_auth.password_file);
      if (!password) return password.error();
      curl_easy_setopt(handle, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
      curl_easy_setopt(handle, CURLOPT_USERNAME, config.basic_auth.username.c_str());
      curl_easy_setopt(handle, CURLOPT_PASSWORD, password->c_str());
    }
    SetTls(handle, config.tls);
    curl_easy_setopt(handle, CURLOPT_URL, target.c_str());
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(message.body.size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, message.body.data());  // `message` outlives the request
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, kTimeoutMs);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_QUICK_EXIT, 1L);  // do not wait for a DNS look-up at the end
    curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, KeepBeginning);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(handle, CURLOPT_PRIVATE, this);
    return Ok();
  }

  void Failed(const std::string& why, AlertmanagerOutbox::Refusal refusal) {
    figures.failed += message.keys.size();
    outbox.Failed(message, refusal, OutboxMoment());
    if (!failing)
      spdlog::error("alertmanager {}: {} alerts could not be delivered, and will be tried again: {}", url,
                    message.keys.size(), why);
    failing = true;
  }

  void Finished(CURLcode code) {
    long status = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) {
      Failed(curl_easy_strerror(code), AlertmanagerOutbox::Refusal::kNotReached);
    } else if (status / 100 != 2) {
      const auto refusal = status == 400 || status == 413 || status == 422 ? AlertmanagerOutbox::Refusal::kRefused
                                                                           : AlertmanagerOutbox::Refusal::kNotReached;
      Failed(fmt::format("it answered {}: {}", status, answer), refusal);
    } else {
      figures.succeeded += message.keys.size();
      outbox.Delivered(message, OutboxMoment());
      if (failing) spdlog::info("alertmanager {}: takes alerts again", url);
      failing = false;
    }
    easy.reset();
  }
};

AlertmanagerPush::AlertmanagerPush() {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  multi_ = std::make_unique<Multi>();
}

AlertmanagerPush::~AlertmanagerPush() {
  Stop();
  for (auto& [url, endpoint] : endpoints_) {
    if (endpoint->easy) curl_multi_remove_handle(multi_->handle, endpoint->easy.get());
  }
  endpoints_.clear();
}

void AlertmanagerPush::Start() {
  thread_ = StartThread("alertmanager", [this] { Run(); });
}

void AlertmanagerPush::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  curl_multi_wakeup(multi_->handle);
  if (thread_.joinable()) thread_.join();
}

void AlertmanagerPush::Update(AlertList alerts, const Config::Alertmanager& config) {
  {
    const std::lock_guard lock(mutex_);
    alerts_ = std::move(alerts);
    wanted_ = config;
    updated_ = true;
  }
  curl_multi_wakeup(multi_->handle);
}

std::vector<NotificationFigures> AlertmanagerPush::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

std::uint64_t AlertmanagerPush::given_up() const {
  const std::lock_guard lock(mutex_);
  return given_up_;
}

// False when it is time to stop.
bool AlertmanagerPush::TakeUpdate() {
  AlertList alerts;
  {
    const std::lock_guard lock(mutex_);
    if (!updated_) return !stopping_;
    updated_ = false;
    alerts = alerts_;
    config_ = wanted_;
  }
  // If a severity is removed from the configuration, its alerts end.
  std::erase_if(alerts, [&](const Alert& alert) { return !Pushed(config_, alert.severity); });
  std::erase_if(endpoints_, [&](const auto& entry) {
    if (std::find(config_.urls.begin(), config_.urls.end(), entry.first) != config_.urls.end()) return false;
    if (entry.second->easy) curl_multi_remove_handle(multi_->handle, entry.second->easy.get());
    given_up_before_ += entry.second->outbox.given_up();
    return true;
  });
  AlertmanagerOutbox::Labels labels = config_.external_labels;
  labels.try_emplace("instance", HostName());
  for (const std::string& url : config_.urls) {
    auto& endpoint = endpoints_[url];
    if (!endpoint) endpoint = std::make_unique<Endpoint>(url);
    endpoint->outbox.Update(alerts, labels, OutboxMoment());
  }
  const std::lock_guard lock(mutex_);
  return !stopping_;
}

void AlertmanagerPush::SendDue(bool only_ends) {
  for (auto& [url, endpoint] : endpoints_) {
    if (endpoint->easy) continue;  // one at a time
    auto message = only_ends ? endpoint->outbox.NextEnds(OutboxMoment()) : endpoint->outbox.Next(OutboxMoment());
    if (!message) continue;
    endpoint->message = std::move(*message);
    if (const auto prepared = endpoint->Prepare(config_); !prepared) {
      endpoint->Failed(prepared.error().message, AlertmanagerOutbox::Refusal::kNotReached);
      endpoint->easy.reset();
      continue;
    }
    curl_multi_add_handle(multi_->handle, endpoint->easy.get());
  }
}

void AlertmanagerPush::TakeResults() {
  int running = 0, left = 0;
  curl_multi_perform(multi_->handle, &running);
  while (const CURLMsg* message = curl_multi_info_read(multi_->handle, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    char* endpoint = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &endpoint);
    curl_multi_remove_handle(multi_->handle, message->easy_handle);
    static_cast<Endpoint*>(static_cast<void*>(endpoint))->Finished(code);
  }
}

bool AlertmanagerPush::busy() const {
  for (const auto& [url, endpoint] : endpoints_) {
    if (endpoint->easy) return true;
  }
  return false;
}

void AlertmanagerPush::Publish() {
  std::vector<NotificationFigures> figures;
  std::uint64_t given_up = given_up_before_;
  for (const auto& [url, endpoint] : endpoints_) {
    figures.push_back(endpoint->figures);
    given_up += endpoint->outbox.given_up();
  }
  const std::lock_guard lock(mutex_);
  figures_ = std::move(figures);
  given_up_ = given_up;
}

void AlertmanagerPush::Run() {
  while (TakeUpdate()) {
    SendDue(false);
    TakeResults();
    Publish();
    curl_multi_poll(multi_->handle, nullptr, 0, static_cast<int>(std::chrono::milliseconds(kLookEvery).count()),
                    nullptr);
  }
  SayFarewell();
}

// The next process sends the firing alerts, so do not wait for a slow peer.
void AlertmanagerPush::SayFarewell() {
  for (auto& [url, endpoint] : endpoints_) {
    const std::vector<bool>& ends = endpoint->message.ends;
    if (!endpoint->easy || std::find(ends.begin(), ends.end(), true) != ends.end()) continue;
    curl_multi_remove_handle(multi_->handle, endpoint->easy.get());
    endpoint->easy.reset();
  }
  SendDue(true);
  const auto until = std::chrono::steady_clock::now() + kFarewell;
  for (TakeResults(); busy() && std::chrono::steady_clock::now() < until; TakeResults()) {
    curl_multi_poll(multi_->handle, nullptr, 0, 100, nullptr);
  }
}

}  // namespace conntally

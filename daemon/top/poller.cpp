#include "daemon/top/poller.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace conntally::top {
namespace {

// How many listed sources' most used ports are requested: the daemon's bound for one request.
constexpr std::size_t kPortsMax = 60;
constexpr int kNotFound = 404;
constexpr std::chrono::seconds kRoundPatience{10};

// Removes characters with a meaning in URLs; names of sources and prefixes have none.
std::string InUrl(const std::string& name) {
  std::string plain;
  std::ranges::copy_if(name, std::back_inserter(plain), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '.' || c == ':' || c == '/';
  });
  return plain;
}

class Round {
 public:
  Round(const DaemonPeer& peer, const std::stop_token& stop, Model& model) : peer_(peer), stop_(stop), model_(model) {}

  // After a failure, or a long round, it asks no more: timeouts of five seconds would add up.
  void Get(const std::string& path, Taken (*take)(const std::string&, Model&), bool may_be_missing = false) {
    if (!trouble_.empty()) return;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end_ - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      trouble_ = "no answer from " + peer_.url + ": it took too long for one question after another";
      return;
    }
    const auto answer = AskDaemon(peer_, path, std::min<std::chrono::milliseconds>(kAskPatience, left), stop_);
    if (!answer) {
      if (!may_be_missing || answer.error().code != kNotFound) trouble_ = answer.error().message;
      return;
    }
    if (const auto taken = take(*answer, model_); !taken) trouble_ = taken.error().message;
  }
  const std::string& trouble() const { return trouble_; }

 private:
  const DaemonPeer& peer_;
  const std::stop_token& stop_;
  Model& model_;
  const std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + kRoundPatience;
  std::string trouble_;
};

std::string NamesOfListed(const Question& question, const Model& model) {
  std::string names = InUrl(question.opened);
  std::size_t count = names.empty() ? 0 : 1;
  for (const Source& source : model.sources) {
    if (source.name == question.opened || source.connections == 0) continue;
    if (count++ == kPortsMax) break;
    names += (names.empty() ? "" : ",") + InUrl(source.name);
  }
  return names;
}

}  // namespace

void Ask(const DaemonPeer& peer, const Question& question, const std::stop_token& stop, Model& model) {
  Round round(peer, stop, model);
  round.Get("/api/v1/status", TakeStatus);
  std::string sources =
      std::string("/api/v1/sources?sort=") + NameOf(question.sort) + "&limit=" + std::to_string(question.sources);
  if (question.filter) sources += "&source=" + question.filter->ToString();
  round.Get(sources, TakeSources);
  round.Get("/api/v1/alerts", TakeAlerts, true);
  round.Get("/api/v1/history", TakeHistory, true);
  if (!question.opened.empty()) {
    if (model.opened_source != question.opened) {
      model.opened.reset();
      model.opened_connections = model.opened_new_rate = model.opened_drop_rate = {};
    }
    model.opened_source = question.opened;
    const std::string name = InUrl(question.opened);
    round.Get("/api/v1/sources?source=" + name, TakeOpenedSource);
    round.Get("/api/v1/history?source=" + name, TakeOpenedHistory, true);
  }
  if (question.drops) {
    const std::string of = !question.drops_of.empty() ? question.drops_of
                           : question.filter          ? question.filter->ToString()
                                                      : "";
    round.Get("/api/v1/drops?limit=200" + (of.empty() ? "" : "&source=" + InUrl(of)), TakeDrops, true);
  }
  const std::string names = NamesOfListed(question, model);
  if (!names.empty()) {
    model.details.clear();
    round.Get("/api/v1/sources/detail?rows=" + std::string(question.opened.empty() ? "0" : "200") + "&source=" + names,
              TakeDetails, true);
  }
  model.trouble = round.trouble();
  if (!model.trouble.empty()) return;
  model.answered = true;
  model.answered_at = std::chrono::steady_clock::now();
}

Poller::Poller(DaemonPeer peer, std::chrono::milliseconds interval)
    : peer_(std::move(peer)), interval_(interval), fresh_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

Poller::~Poller() {
  thread_.request_stop();
  thread_.join();
}

void Poller::set_question(const Question& question) {
  {
    const std::lock_guard lock(mutex_);
    if (question_ == question) return;
    question_ = question;
    changed_ = true;
  }
  woken_.notify_all();
}

std::optional<Model> Poller::TakeModel() {
  const std::lock_guard lock(mutex_);
  eventfd_t count = 0;
  eventfd_read(fresh_.get(), &count);
  return std::exchange(model_, std::nullopt);
}

void Poller::Run(const std::stop_token& stop) {
  // Details missing in the first answer are requested again soon.
  constexpr std::chrono::milliseconds kSoon{400};
  Model model;
  while (!stop.stop_requested()) {
    Question question;
    {
      const std::lock_guard lock(mutex_);
      question = question_;
      changed_ = false;
    }
    Ask(peer_, question, stop, model);
    const bool pending = std::ranges::any_of(model.details, [](const auto& detail) { return detail.second.pending; });
    std::unique_lock lock(mutex_);
    model_ = model;
    eventfd_write(fresh_.get(), 1);
    woken_.wait_for(lock, stop, pending ? std::min(kSoon, interval_) : interval_, [&] { return changed_; });
  }
}

}  // namespace conntally::top

#include "daemon/http/access/password_checker.h"

#include <sodium.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "collectors/system/threads/worker_thread.h"

namespace conntally::http {
namespace {

// A flood leaves the processors to the others, and a first scrape still gets one on a host that is full of work.
constexpr int kLessUrgent = 5;

}  // namespace

PasswordChecker::PasswordChecker() : state_(std::make_shared<State>()) {
  randombytes_buf(secret_.data(), secret_.size());
  state_->answered_event = MakeEvent();
  thread_ = StartThread("passwords", [state = state_] { Run(*state); });
}

PasswordChecker::~PasswordChecker() {
  constexpr std::chrono::milliseconds kPatience{200};
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  state_->woken.notify_all();
  state_->woken.wait_for(lock, kPatience, [this] { return state_->ended; });
  const bool ended = state_->ended;
  lock.unlock();
  if (ended) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

std::optional<PasswordChecker::Answer> PasswordChecker::Check(const Users& users, const Login& login,
                                                              const std::string& client, Asker asker) {
  if (users.empty()) return Answer::kRight;
  const auto user = users.find(login.user);
  const bool is_user = user != users.end();
  const std::string& hash = is_user ? user->second : HashOfNobody(users, login.user);
  const Digest digest = DigestOf(login, hash, is_user);
  if (const auto known = right_.find(digest); known != right_.end()) {
    known->second = ++uses_;
    return Answer::kRight;
  }
  if (const auto known = wrong_.find(digest); known != wrong_.end()) {
    known->second = ++uses_;
    return Answer::kWrong;
  }
  auto& askers = waiting_[digest];
  askers.push_back(asker);
  if (askers.size() > 1) return std::nullopt;
  const std::lock_guard lock(state_->mutex);
  auto& jobs = state_->jobs;
  auto& of_client = jobs.waiting[client];
  of_client.waiting[login.user].push_back({digest, hash, login.password, is_user});
  ++of_client.job_count;
  if (++jobs.job_count > kWaitingMax) MakeRoom(*state_);
  state_->woken.notify_all();
  return std::nullopt;
}

// The one after the last turn.
template <typename Waiting>
typename std::map<std::string, Waiting>::iterator PasswordChecker::Turns<Waiting>::Next() {
  auto next = waiting.upper_bound(last);
  if (next == waiting.end()) next = waiting.begin();
  last = next->first;
  return next;
}

template <typename Waiting>
typename std::map<std::string, Waiting>::iterator PasswordChecker::Turns<Waiting>::Fullest() {
  return std::ranges::max_element(waiting, {}, [](const auto& each) { return each.second.size(); });
}

void PasswordChecker::MakeRoom(State& state) {
  const auto client = state.jobs.Fullest();
  const auto user = client->second.Fullest();
  state.answered.emplace_back(user->second.back().digest, Answer::kTurnedAway);
  user->second.pop_back();
  if (user->second.empty()) client->second.waiting.erase(user);
  if (--client->second.job_count == 0) state.jobs.waiting.erase(client);
  --state.jobs.job_count;
  static_cast<void>(eventfd_write(state.answered_event.get(), 1));  // cannot fail: the counter is far from its end
}

int PasswordChecker::descriptor() const { return state_->answered_event.get(); }

std::vector<std::pair<PasswordChecker::Asker, PasswordChecker::Answer>> PasswordChecker::TakeAnswers() {
  eventfd_t count = 0;
  static_cast<void>(eventfd_read(state_->answered_event.get(), &count));  // fails if nothing was answered
  std::vector<std::pair<Digest, Answer>> answered;
  {
    const std::lock_guard lock(state_->mutex);
    answered = std::exchange(state_->answered, {});
  }
  std::vector<std::pair<Asker, Answer>> taken;
  for (const auto& [digest, answer] : answered) {
    if (answer == Answer::kRight) Remember(right_, kRightMax, digest);
    if (answer == Answer::kWrong) Remember(wrong_, kWrongMax, digest);
    const auto waiting = waiting_.find(digest);
    if (waiting == waiting_.end()) continue;
    for (Asker asker : waiting->second) taken.emplace_back(asker, answer);
    waiting_.erase(waiting);
  }
  return taken;
}

std::vector<PasswordChecker::Asker> PasswordChecker::GiveUp() {
  std::vector<Asker> all;
  for (const auto& [digest, askers] : waiting_) all.insert(all.end(), askers.begin(), askers.end());
  waiting_.clear();
  return all;
}

void PasswordChecker::Run(State& state) {
  // Some sandboxes refuse it; then it runs at normal priority.
  static_cast<void>(setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kLessUrgent));
  std::unique_lock lock(state.mutex);
  for (;;) {
    state.woken.wait(lock, [&] { return state.stopping || state.jobs.job_count > 0; });
    if (state.stopping) break;
    const Job job = TakeNext(state);
    lock.unlock();
    const bool matches = MatchesBcrypt(job.hash, job.password);
    lock.lock();
    state.answered.emplace_back(job.digest, matches && job.is_user ? Answer::kRight : Answer::kWrong);
    static_cast<void>(eventfd_write(state.answered_event.get(), 1));  // cannot fail: the counter is far from its end
  }
  state.ended = true;
  state.woken.notify_all();
}

PasswordChecker::Job PasswordChecker::TakeNext(State& state) {
  const auto client = state.jobs.Next();
  const auto user = client->second.Next();
  Job job = std::move(user->second.front());
  user->second.pop_front();
  if (user->second.empty()) client->second.waiting.erase(user);
  if (--client->second.job_count == 0) state.jobs.waiting.erase(client);
  --state.jobs.job_count;
  return job;
}

PasswordChecker::Digest PasswordChecker::DigestOf(const Login& login, const std::string& hash, bool is_user) const {
  crypto_generichash_state state;
  crypto_generichash_init(&state, secret_.data(), secret_.size(), sizeof(Digest));
  const auto add = [&state](std::string_view text) {
    const std::uint64_t size = text.size();
    crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(&size), sizeof(size));
    crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  };
  for (const std::string_view text : {std::string_view(login.user), std::string_view(login.password),
                                      std::string_view(hash), std::string_view(is_user ? "user" : "")}) {
    add(text);
  }
  Digest digest{};
  crypto_generichash_final(&state, digest.data(), digest.size());
  return digest;
}

// The choice is secret but constant per user name, so that the time reveals nothing.
const std::string& PasswordChecker::HashOfNobody(const Users& users, const std::string& user) const {
  const Digest digest = DigestOf({user, ""}, "", false);
  return std::next(users.begin(), static_cast<std::ptrdiff_t>(digest[0] % users.size()))->second;
}

void PasswordChecker::Remember(Remembered& known, std::size_t most, const Digest& digest) {
  known[digest] = ++uses_;
  if (known.size() <= most) return;
  known.erase(std::ranges::min_element(known, {}, [](const auto& each) { return each.second; }));
}

}  // namespace conntally::http

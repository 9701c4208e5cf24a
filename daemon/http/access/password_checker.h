// Checks passwords. bcrypt takes tens of milliseconds on purpose, so a separate thread of lower priority computes it
// while the connection waits. It remembers the answers under keyed digests, so that a scraper pays once. A right
// password stays remembered, however many wrong ones are tried.
//
// A client that floods it with wrong passwords delays only itself: clients take turns, and if there is no room, the
// client with the most waiting requests is turned away. An unknown name takes as long as a known one, always the same
// time.
//
// Threads: all functions on the server's thread. The separate thread shares only State, and may outlive this object
// while it computes: a hash may take minutes.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "collectors/system/file_descriptor.h"
#include "daemon/http/access/password.h"

namespace conntally::http {

using Users = std::map<std::string, std::string>;  // bcrypt hashes, by name

class PasswordChecker {
 public:
  enum class Answer { kRight, kWrong, kTurnedAway };
  using Digest = std::array<unsigned char, 32>;
  // Identifies a request to the caller.
  using Asker = void*;

  static constexpr std::size_t kWaitingMax = 256;
  static constexpr std::size_t kRightMax = 256;
  static constexpr std::size_t kWrongMax = 1024;

  PasswordChecker();
  ~PasswordChecker();
  PasswordChecker(const PasswordChecker&) = delete;
  PasswordChecker& operator=(const PasswordChecker&) = delete;

  // The answer if it is known, else nullopt, and the asker waits. `client`, an address, is the unit of turns.
  std::optional<Answer> Check(const Users& users, const Login& login, const std::string& client, Asker asker);

  // Readable while there are answers to take.
  int descriptor() const;
  std::vector<std::pair<Asker, Answer>> TakeAnswers();
  // Returns all that wait, unanswered; for shutdown.
  std::vector<Asker> GiveUp();

 private:
  struct Job {
    Digest digest{};
    std::string hash;
    std::string password;
    bool is_user = false;
  };
  // Turns among named waiters.
  template <typename Waiting>
  struct Turns {
    std::map<std::string, Waiting> waiting;
    std::string last;  // whose turn was last
    std::size_t job_count = 0;

    typename std::map<std::string, Waiting>::iterator Next();
    typename std::map<std::string, Waiting>::iterator Fullest();
    std::size_t size() const { return job_count; }
  };
  using JobsOfClient = Turns<std::deque<Job>>;  // by user
  struct State {
    FileDescriptor answered_event;
    std::mutex mutex;  // guards the members below
    std::condition_variable woken;
    Turns<JobsOfClient> jobs;  // by client
    std::vector<std::pair<Digest, Answer>> answered;
    bool stopping = false;
    bool ended = false;
  };
  using Remembered = std::map<Digest, std::uint64_t>;  // when it was last used

  static void Run(State& state);
  static Job TakeNext(State& state);
  static void MakeRoom(State& state);
  Digest DigestOf(const Login& login, const std::string& hash, bool is_user) const;
  const std::string& HashOfNobody(const Users& users, const std::string& user) const;
  void Remember(Remembered& known, std::size_t most, const Digest& digest);

  std::array<unsigned char, 32> secret_{};
  Remembered right_, wrong_;
  std::uint64_t uses_ = 0;
  std::map<Digest, std::vector<Asker>> waiting_;
  std::shared_ptr<State> state_;
  std::thread thread_;
};

}  // namespace conntally::http

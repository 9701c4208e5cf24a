// Tells right passwords from wrong ones. bcrypt takes tens of milliseconds on purpose, so a thread of its own does
// that, at a lower priority, while the connection waits; what it found is remembered, under a keyed digest, so that
// a scrape pays once. A right password stays known however many wrong ones are tried.
//
// Who floods it with wrong passwords delays himself: clients have turns, and where there is no room it is the client
// with the most waiting that is turned away. A name that nobody has costs as much as one of the known ones, always the
// same.
//
// Threads: all functions on the server's. The thread shares State alone, and outlives this if it is computing: a hash
// may cost minutes.
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

using Users = std::map<std::string, std::string>;  // bcrypt's hashes, by name

class PasswordChecker {
 public:
  enum class Answer { kRight, kWrong, kTurnedAway };
  using Digest = std::array<unsigned char, 32>;
  // Something that asked, to be found again by whoever asked for it.
  using Asker = void*;

  static constexpr std::size_t kWaitingMax = 256;
  static constexpr std::size_t kRightMax = 256;
  static constexpr std::size_t kWrongMax = 1024;

  PasswordChecker();
  ~PasswordChecker();
  PasswordChecker(const PasswordChecker&) = delete;
  PasswordChecker& operator=(const PasswordChecker&) = delete;

  // What is known already, else the asker waits. `client` is who has turns, an address.
  std::optional<Answer> Check(const Users& users, const Login& login, const std::string& client, Asker asker);

  // Readable while there are answers to take.
  int descriptor() const;
  std::vector<std::pair<Asker, Answer>> TakeAnswers();
  // All that wait, for nothing any more: at the end.
  std::vector<Asker> GiveUp();

 private:
  struct Job {
    Digest digest{};
    std::string hash;
    std::string password;
    bool is_user = false;
  };
  // Turns among those who wait under a name each.
  template <typename Waiting>
  struct Turns {
    std::map<std::string, Waiting> waiting;
    std::string last;  // whose turn it was
    std::size_t job_count = 0;

    typename std::map<std::string, Waiting>::iterator Next();
    typename std::map<std::string, Waiting>::iterator Fullest();
    std::size_t size() const { return job_count; }
  };
  using JobsOfClient = Turns<std::deque<Job>>;  // by user
  struct State {
    FileDescriptor answered_event;
    std::mutex mutex;  // of what follows
    std::condition_variable woken;
    Turns<JobsOfClient> jobs;  // by client
    std::vector<std::pair<Digest, Answer>> answered;
    bool stopping = false;
    bool ended = false;
  };
  using Remembered = std::map<Digest, std::uint64_t>;  // when it was last asked for

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

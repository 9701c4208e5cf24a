#include "daemon/diagnose/observation.h"

#include <signal.h>
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

namespace conntally::diagnose {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kReadingsApart{100};
constexpr milliseconds kLookedAtEvery{100};  // how often to check whether to end

volatile sig_atomic_t g_interrupted = 0;

// While it lives, SIGINT ends the observation instead of the program.
class Interruptible {
 public:
  Interruptible() {
    g_interrupted = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { g_interrupted = 1; };
    sigaction(SIGINT, &action, &before_);
  }
  ~Interruptible() { sigaction(SIGINT, &before_, nullptr); }
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

 private:
  struct sigaction before_ {};
};

void TellProgress(const WatchedPackets& seen, milliseconds left) {
  const auto count = [&](WatchedFlow::Answer answer) {
    return std::count_if(seen.flows.begin(), seen.flows.end(),
                         [&](const WatchedFlow& flow) { return flow.answer == answer; });
  };
  const auto accepted = std::count_if(seen.flows.begin(), seen.flows.end(),
                                      [&](const WatchedFlow& flow) { return seen.IsAccepted(flow); });
  const auto refused = count(WatchedFlow::Answer::kReset) + count(WatchedFlow::Answer::kUnreachable);
  const std::string line = fmt::format(
      "\r\x1b[K{} s left: {} attempts seen, {} accepted, {} refused, {} without an answer{} (Ctrl-C: the "
      "findings so far)",
      (left.count() + 999) / 1000, seen.flows.size(), accepted, refused, count(WatchedFlow::Answer::kNone),
      seen.stalled.empty() ? "" : fmt::format(", {} streams stall", seen.stalled.size()));
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
}

void Sleep(milliseconds duration) {
  const auto until = std::chrono::steady_clock::now() + duration;
  while (g_interrupted == 0 && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(kLookedAtEvery);
}

}  // namespace

std::optional<WatchedPackets> Observe(const Question& question, bool can_watch_packets, Report& report) {
  if (question.observe.count() == 0) {
    std::this_thread::sleep_for(kReadingsApart);
    return std::nullopt;
  }
  const Interruptible interruptible;
  const bool on_terminal = isatty(STDERR_FILENO) == 1;
  WatchMeanwhile meanwhile;
  meanwhile.is_over = [] { return g_interrupted != 0; };
  if (on_terminal) meanwhile.tell = TellProgress;
  const WatchFilter filter{question.source, question.destination, question.destination_port, question.protocol};
  auto watched = WatchPackets(filter, question.observe, meanwhile);
  if (on_terminal) std::fputs("\r\x1b[K", stderr);
  if (!watched) {
    report.not_checked.push_back(
        {"packets on the wire", watched.error().message + (can_watch_packets ? "" : "; run it as root")});
    Sleep(question.observe);
    return std::nullopt;
  }
  if (watched->ended_early) {
    report.checked.push_back(fmt::format("the wire for {:.1f} s of {:.1f} s: the observation was interrupted",
                                         std::chrono::duration<double>(watched->lasted).count(),
                                         std::chrono::duration<double>(question.observe).count()));
  }
  return *std::move(watched);
}

}  // namespace conntally::diagnose

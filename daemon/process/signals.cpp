#include "daemon/process/signals.h"

#include <initializer_list>

namespace conntally {
namespace {

sigset_t OurSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) sigaddset(&signals, signal);
  return signals;
}

}  // namespace

void KeepSignalsPending() {
  const sigset_t signals = OurSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

int TakeSignal(std::chrono::milliseconds at_most) {
  const sigset_t signals = OurSignals();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(at_most);
  const timespec limit{seconds.count(), std::chrono::nanoseconds(at_most - seconds).count()};
  return sigtimedwait(&signals, nullptr, &limit);
}

}  // namespace conntally

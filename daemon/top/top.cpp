#include "daemon/top/top.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <ostream>
#include <string_view>
#include <thread>

#include "collectors/system/file_descriptor.h"
#include "daemon/command_line/client/ask_daemon.h"
#include "daemon/command_line/load_config.h"
#include "daemon/top/poller.h"
#include "daemon/top/screens/render.h"
#include "daemon/top/terminal/terminal.h"

namespace conntally {
namespace top {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// For the age that the title shows while the daemon does not answer.
constexpr auto kRedrawEvery = 1000ms;

std::size_t FromEnvironment(const char* name, std::size_t otherwise) {
  const char* text = std::getenv(name);
  if (text == nullptr) return otherwise;
  std::size_t value = 0;
  const std::string_view digits(text);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return error == std::errc{} && end == digits.data() + digits.size() && value >= 20 && value <= 1000 ? value
                                                                                                      : otherwise;
}

FileDescriptor CatchSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGHUP, SIGINT, SIGTERM, SIGWINCH}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTSTP, SIG_IGN);  // ncurses would draw in its signal handler
  return FileDescriptor(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

// One frame: asks until the ports are known, at most two seconds.
int ShowOnce(const DaemonPeer& peer, std::ostream& output, std::ostream& errors) {
  const Size size =
      TerminalSize(STDOUT_FILENO).value_or(Size{FromEnvironment("COLUMNS", 100), FromEnvironment("LINES", 40)});
  const auto end = Clock::now() + 2s;
  Model model;
  for (;;) {
    Ask(peer, {}, {}, model);
    if (!model.trouble.empty()) {
      errors << "conntally: " << model.trouble << "; is the daemon running (systemctl status conntally), and at this "
             << "address (--web.listen-address)?\n";
      return 1;
    }
    const bool pending = std::ranges::any_of(model.details, [](const auto& detail) { return detail.second.pending; });
    if (!pending || Clock::now() > end) break;
    std::this_thread::sleep_for(100ms);
  }
  View view;
  view.unicode = ShowsUnicode();
  Frame frame = Render(model, view, size, {.now = Clock::now(), .address = peer.url});
  frame.pop_back();  // the keys
  while (!frame.empty() && frame.back().width() == 0) frame.pop_back();
  output << PlainText(frame, size) << std::flush;
  return output ? 0 : 1;
}

class Live {
 public:
  Live(Terminal& terminal, const FileDescriptor& signals, const DaemonPeer& peer, std::chrono::milliseconds interval)
      : terminal_(terminal), signals_(signals), poller_(peer, interval) {
    moment_.interval = interval;
    moment_.address = peer.url;
    view_.unicode = ShowsUnicode();
    size_ = TerminalSize(STDOUT_FILENO).value_or(Size{});
  }

  void Run() {
    while (!view_.quit && Draw()) {
      std::array<pollfd, 3> ready = {
          {{STDIN_FILENO, POLLIN, 0}, {signals_.get(), POLLIN, 0}, {poller_.fd(), POLLIN, 0}}};
      const int count =
          poll(ready.data(), ready.size(), static_cast<int>(std::chrono::milliseconds(kRedrawEvery).count()));
      if (count < 0) continue;
      if ((ready[0].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) return;  // the terminal is gone
      if (ready[1].revents != 0 && !TakeSignals()) return;
      if (ready[2].revents != 0) TakeModel();
      for (const Key key : terminal_.ReadKeys()) Apply(key, shown_, ListRows(size_), view_);
      if (!view_.frozen && newest_) shown_ = *std::exchange(newest_, std::nullopt);
      poller_.set_question({.sort = view_.sort,
                            .filter = view_.filter,
                            .opened = view_.screen == Screen::kSource ? view_.opened : "",
                            .sources = std::max<std::size_t>(64, size_.rows),
                            .drops = view_.screen == Screen::kDrops,
                            .drops_of = view_.drops_of});
    }
  }

 private:
  bool Draw() {
    moment_.now = Clock::now();
    return terminal_.Draw(Render(shown_, view_, size_, moment_), size_);
  }

  // False after a signal to stop.
  bool TakeSignals() {
    signalfd_siginfo taken{};
    while (read(signals_.get(), &taken, sizeof taken) == sizeof taken) {
      if (taken.ssi_signo != SIGWINCH) return false;
      size_ = TerminalSize(STDOUT_FILENO).value_or(size_);
    }
    return true;
  }

  // A frozen screen still updates an opened source.
  void TakeModel() {
    auto model = poller_.TakeModel();
    if (!model) return;
    if (view_.frozen && view_.screen == Screen::kSource && model->opened_source == view_.opened &&
        shown_.opened_source != view_.opened) {
      shown_.details = model->details;
      shown_.opened_source = model->opened_source;
      shown_.opened = model->opened;
      shown_.opened_connections = model->opened_connections;
      shown_.opened_new_rate = model->opened_new_rate;
      shown_.opened_drop_rate = model->opened_drop_rate;
    }
    newest_ = std::move(model);
  }

  Terminal& terminal_;
  const FileDescriptor& signals_;
  Poller poller_;
  Moment moment_;
  View view_;
  Size size_;
  Model shown_;
  std::optional<Model> newest_;
};

}  // namespace
}  // namespace top

int ShowTop(const TopCommand& command, std::ostream& output, std::ostream& errors) {
  const ConfigOrFaults loaded = LoadConfig(command.config_file, command.overrides);
  if (const auto* faults = std::get_if<std::vector<ConfigFault>>(&loaded)) {
    for (const ConfigFault& fault : *faults) errors << Describe(fault, command.config_file.path) << '\n';
    return 1;
  }
  const auto peer = FindDaemon(std::get<Config>(loaded), command.peer, errors);
  if (!peer) return 1;
  if (command.once) return top::ShowOnce(*peer, output, errors);
  const FileDescriptor signals = top::CatchSignals();
  top::ShowsUnicode();  // ncurses uses the process's locale
  auto terminal = top::Terminal::Open();
  if (!terminal) {
    errors << "conntally: " << terminal.error().message << '\n';
    return 1;
  }
  top::Live(*terminal, signals, *peer, command.interval).Run();
  return 0;
}

}  // namespace conntally

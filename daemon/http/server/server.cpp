#include "daemon/http/server/server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <system_error>
#include <thread>
#include <utility>

#include "collectors/system/worker_thread.h"
#include "daemon/http/renderer.h"
#include "daemon/http/router.h"
#include "daemon/http/server/connections.h"
#include "daemon/http/server/descriptor_limit.h"
#include "daemon/http/server/exchange.h"
#include "daemon/http/server/listen.h"
#include "daemon/http/server/shared_answers.h"

namespace conntally::http {
namespace {

// Besides the request's header, libmicrohttpd keeps its own records and the response's header in a
// connection's pool, and a stream's chunks are cut to what is left.
constexpr std::size_t kPoolSpareBytes = 16 * 1024;
constexpr unsigned kConnectionsLeast = 4;
constexpr std::chrono::minutes kTellEvery{1};
// Each whose client takes no gzip keeps an unpacker.
constexpr unsigned kLongAnswersMax = 64;
// Memory that has been let go of is given back to the kernel from here on; what a connection takes besides its body is
// some 48 kB.
constexpr std::size_t kGiveBackBytes = 8 * 1024 * 1024;
constexpr std::size_t kConnectionBytes = 48 * 1024;

struct StopDaemon {
  void operator()(MHD_Daemon* daemon) const { MHD_stop_daemon(daemon); }
};

// `127.0.1.1 gw.example.com gw` is how Debian names a host. Nobody can rebind what its own file of hosts says.
void AddLoopbackNames(std::vector<std::string>& names) {
  constexpr unsigned char kLoopbackNet = 127;
  sethostent(0);
  while (const hostent* host = gethostent()) {
    if (host->h_addrtype != AF_INET || static_cast<unsigned char>(host->h_addr_list[0][0]) != kLoopbackNet) continue;
    names.emplace_back(host->h_name);
    for (char** alias = host->h_aliases; *alias != nullptr; ++alias) names.emplace_back(*alias);
  }
  endhostent();
}

Options Fitted(Options options) {
  options.connections_max = std::max(kConnectionsLeast, FitDescriptorLimit(options.connections_max));
  // Who was told to listen on a name is called so.
  if (const auto listen = ListenAddress::Parse(options.listen_address)) options.allowed_hosts.push_back(listen->host);
  AddLoopbackNames(options.allowed_hosts);
  return options;
}

Connections::Limits LimitsFrom(const Options& options) {
  const unsigned all = options.connections_max;
  return {.connections_soft = all - all / 4,
          .lane_max = {all, all, all / 2, std::min(kLongAnswersMax, all / 4)},
          .header_deadline = options.header_deadline,
          .response_deadline = options.response_deadline,
          .progress_deadline = options.progress_deadline,
          .idle_deadline = options.idle_deadline,
          .held_bytes_max = options.held_bytes_max};
}

// How often deadlines are looked at while there are connections: late by a tenth at most.
std::chrono::milliseconds TickFrom(const Options& options) {
  const auto shortest =
      std::min({options.header_deadline, options.response_deadline, options.progress_deadline, options.idle_deadline});
  return std::clamp(shortest / 10, std::chrono::milliseconds(5), std::chrono::milliseconds(250));
}

}  // namespace

// The thread and everything it owns. What is declared later may use what is declared before it.
class Server::Loop {
 public:
  Loop(Options options, std::map<std::string, Route> routes)
      : options_(Fitted(std::move(options))),
        tick_(TickFrom(options_)),
        router_(std::move(routes), counters_),
        encoder_(held_bytes_, options_.held_bytes_max),
        connections_(LimitsFrom(options_), held_bytes_, counters_),
        renderer_(router_, held_bytes_, options_.held_bytes_max),
        answers_(renderer_),
        exchange_(router_, connections_, answers_, encoder_, counters_,
                  {options_.header_bytes_max, options_.allowed_hosts}) {}
  ~Loop();

  Status Start();
  std::uint16_t port() const { return port_; }
  const Counters& counters() const { return counters_; }

 private:
  Status StartDaemon();
  void Run();
  bool Accepting() const;
  void Accept();
  bool AcceptOne();
  int WaitMilliseconds() const;
  void Tick(Clock::time_point now);

  const Options options_;
  const std::chrono::milliseconds tick_;
  Counters counters_;
  std::atomic<std::size_t> held_bytes_{0};
  Router router_;
  Encoder encoder_;  // this thread's own
  Connections connections_;
  Renderer renderer_;
  SharedAnswers answers_;
  Exchange exchange_;
  Clock::time_point next_tick_{};
  std::size_t most_memory_bytes_ = 0;  // in use since some was given back
  FileDescriptor stop_;
  FileDescriptor listening_;
  Clock::time_point accept_again_{};                // out of descriptors until then
  Clock::time_point tell_again_{};                  // that no connection can be accepted
  std::unique_ptr<MHD_Daemon, StopDaemon> daemon_;  // its end calls back into all of the above
  int epoll_descriptor_ = -1;                       // the daemon's
  std::uint16_t port_ = 0;
  std::thread thread_;
};

Status Server::Loop::Start() {
  auto socket = options_.inherited_socket >= 0 ? Adopt(FileDescriptor(options_.inherited_socket))
                                               : Listen(options_.listen_address);
  if (!socket) return socket.error();
  port_ = socket->port;
  listening_ = std::move(socket->descriptor);
  stop_ = FileDescriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_) return Error::FromErrno("cannot start the HTTP server: eventfd", errno);
  if (Status started = StartDaemon(); !started) return started;
  renderer_.Start();
  thread_ = StartThread("http", [this] { Run(); });
  return Ok();
}

Status Server::Loop::StartDaemon() {
  daemon_.reset(MHD_start_daemon(
      MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, nullptr, nullptr,  //
      &Exchange::OnRequest, &exchange_,                                                          // whole headers
      MHD_OPTION_NOTIFY_CONNECTION, &Exchange::OnConnection, &exchange_,                         // accepted and closed
      MHD_OPTION_URI_LOG_CALLBACK, &Exchange::OnRequestLine, &exchange_,                         // the raw target
      MHD_OPTION_NOTIFY_COMPLETED, &Exchange::OnFinished, &exchange_,                            // response taken
      // We keep to the limit. Its own count lags behind: those who are gone are in it until its round ends.
      MHD_OPTION_CONNECTION_LIMIT, 2 * options_.connections_max,                        //
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, options_.header_bytes_max + kPoolSpareBytes,  //
      MHD_OPTION_END));
  const auto* info = daemon_ ? MHD_get_daemon_info(daemon_.get(), MHD_DAEMON_INFO_EPOLL_FD) : nullptr;
  if (info == nullptr) return Error::FromErrno("cannot start the HTTP server: libmicrohttpd", errno);
  epoll_descriptor_ = info->epoll_fd;
  return Ok();
}

Server::Loop::~Loop() {
  if (!thread_.joinable()) return;
  // Cannot fail: the counter is far from its end.
  static_cast<void>(eventfd_write(stop_.get(), 1));
  thread_.join();
}

void Server::Loop::Run() {
  // Signals are the main thread's, and a client that hangs up is no reason to die of SIGPIPE.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::array<pollfd, 4> waits{
      {{stop_.get(), POLLIN, 0}, {epoll_descriptor_, POLLIN, 0}, {-1, POLLIN, 0}, {renderer_.descriptor(), POLLIN, 0}}};
  for (;;) {
    waits[2].fd = Accepting() ? listening_.get() : -1;  // poll skips -1
    poll(waits.data(), waits.size(), WaitMilliseconds());
    if (waits[0].revents != 0) break;
    const auto woken = Clock::now();
    if (waits[2].revents != 0) Accept();
    if (waits[3].revents != 0) exchange_.Resume();
    MHD_run(daemon_.get());
    connections_.NoteRound(Clock::now() - woken);
    if (woken >= next_tick_) {
      exchange_.Resume();  // should the renderer's event be lost, all who share its answer would wait for ever
      Tick(woken);
    }
  }
  // Here, so that the callbacks it makes run on the thread of all others.
  exchange_.GiveUp();
  daemon_.reset();
}

void Server::Loop::Tick(Clock::time_point now) {
  next_tick_ = now + tick_;
  connections_.EnforceDeadlines(now);
  answers_.Forget(now);
  const std::size_t memory_bytes = held_bytes_.load(std::memory_order_relaxed) + connections_.size() * kConnectionBytes;
  most_memory_bytes_ = std::max(most_memory_bytes_, memory_bytes);
  if (most_memory_bytes_ - memory_bytes < kGiveBackBytes) return;
  most_memory_bytes_ = memory_bytes;
  renderer_.GiveMemoryBack();
}

bool Server::Loop::Accepting() const {
  return connections_.size() < options_.connections_max && Clock::now() >= accept_again_;
}

// We accept ourselves since libmicrohttpd takes but 10 a round: behind a thousand connections a scrape would
// wait a hundred rounds, each with its share of slow answers. A quarter of all at a time, so that nobody is
// evicted for those behind him before his request has been looked at.
void Server::Loop::Accept() {
  for (unsigned count = 0; count < options_.connections_max / 4 && Accepting() && AcceptOne(); ++count) {
  }
}

bool Server::Loop::AcceptOne() {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  auto* const peer = reinterpret_cast<sockaddr*>(&address);
  const int accepted = accept4(listening_.get(), peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (accepted >= 0) {
    // It calls Exchange::OnConnection, and closes the socket should it not want it.
    if (MHD_add_connection(daemon_.get(), accepted, peer, size) != MHD_YES) Count(counters_.connections_turned_away);
    return true;
  }
  const int error = errno;
  // accept(2): errors of the connection that was waiting come this way too.
  if (error == EINTR || error == ECONNABORTED || error == EPROTO) return true;
  if (error != EAGAIN && error != EWOULDBLOCK) {
    connections_.EvictOne(Clock::now());
    accept_again_ = Clock::now() + tick_;
    if (Clock::now() >= tell_again_) {
      tell_again_ = Clock::now() + kTellEvery;
      spdlog::error("no HTTP connection can be accepted: {}; trying again", std::generic_category().message(error));
    }
  }
  return false;
}

int Server::Loop::WaitMilliseconds() const {
  // With no connection nothing can be overdue, but we may have to try to accept again.
  const auto longest = connections_.size() == 0 ? std::chrono::milliseconds(1000) : tick_;
  unsigned long long wanted = 0;
  if (MHD_get_timeout(daemon_.get(), &wanted) != MHD_YES) return static_cast<int>(longest.count());
  return static_cast<int>(std::min<unsigned long long>(wanted, static_cast<unsigned long long>(longest.count())));
}

Result<std::unique_ptr<Server>> Server::Start(Options options, std::map<std::string, Route> routes) {
  auto loop = std::make_unique<Loop>(std::move(options), std::move(routes));
  if (Status started = loop->Start(); !started) return started.error();
  return std::unique_ptr<Server>(new Server(std::move(loop)));
}

Server::Server(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}
Server::~Server() = default;

std::uint16_t Server::port() const { return loop_->port(); }

ServerStatistics Server::statistics() const {
  const Counters& counters = loop_->counters();
  const auto load = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  return {.requests = load(counters.requests),
          .connections_turned_away = load(counters.connections_turned_away),
          .responses_turned_away = load(counters.responses_turned_away),
          .deadlines_missed = load(counters.deadlines_missed),
          .handler_failures = load(counters.handler_failures),
          .connections = load(counters.connections)};
}

}  // namespace conntally::http

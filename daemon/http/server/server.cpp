#include "daemon/http/server/server.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <system_error>
#include <thread>
#include <utility>

#include "collectors/system/threads/worker_thread.h"
#include "daemon/http/renderer.h"
#include "daemon/http/router.h"
#include "daemon/http/server/connections.h"
#include "daemon/http/server/exchange.h"
#include "daemon/http/server/gate.h"
#include "daemon/http/server/protocols.h"
#include "daemon/http/server/shared_answers.h"
#include "daemon/http/server/sockets/addresses.h"
#include "daemon/http/server/sockets/descriptor_limit.h"
#include "daemon/http/server/sockets/listen.h"

namespace conntally::http {
namespace {

// Besides the request's header, libmicrohttpd keeps its own records and the response's header in a
// connection's pool, and a stream's chunks are cut to what is left.
constexpr std::size_t kPoolSpareBytes = 16 * 1024;
constexpr unsigned kConnectionsLeast = 4;
constexpr std::chrono::minutes kTellEvery{1};
// Each one for a client without gzip has a decompressor.
constexpr unsigned kLongAnswersMax = 64;
// Memory that has been let go of is given back to the kernel from here on; what a connection takes besides its body is
// some 48 kB.
constexpr std::size_t kGiveBackBytes = 8 * 1024 * 1024;
constexpr std::size_t kConnectionBytes = 48 * 1024;

Options Fitted(Options options) {
  options.connections_max = std::max(kConnectionsLeast, FitDescriptorLimit(options.connections_max));
  // The names in listen_addresses are allowed hosts.
  for (const std::string& address : options.listen_addresses) {
    if (const auto listen = ListenAddress::Parse(address)) options.allowed_hosts.push_back(listen->host);
  }
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

// How often deadlines are checked while there are connections: at most a tenth late.
std::chrono::milliseconds TickFrom(const Options& options) {
  const auto shortest =
      std::min({options.header_deadline, options.response_deadline, options.progress_deadline, options.idle_deadline});
  return std::clamp(shortest / 10, std::chrono::milliseconds(5), std::chrono::milliseconds(250));
}

}  // namespace

// The thread and everything that it owns. Later members may use earlier ones.
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
        gate_(counters_),
        exchange_(*options_.access, gate_, router_, connections_, answers_, encoder_, counters_,
                  {options_.header_bytes_max, options_.allowed_hosts}),
        protocols_(exchange_, options_.connections_max, options_.header_bytes_max + kPoolSpareBytes) {}
  ~Loop();

  Status Start();
  std::uint16_t port() const { return listening_.front().port; }
  bool is_beyond_loopback() const {
    return !std::ranges::all_of(listening_, [](const auto& each) { return IsOnLoopback(each.descriptor.get()); });
  }
  const Counters& counters() const { return counters_; }

 private:
  Status Listen();
  void Run();
  std::vector<pollfd> Waits() const;
  bool Accepting() const;
  void Accept(int listening);
  bool AcceptOne(int listening);
  std::chrono::milliseconds Wait() const;
  void Tick(Clock::time_point now);

  const Options options_;
  const std::chrono::milliseconds tick_;
  Counters counters_;
  std::atomic<std::size_t> held_bytes_{0};
  Router router_;
  Encoder encoder_;  // only this thread uses it
  Connections connections_;
  Renderer renderer_;
  SharedAnswers answers_;
  Gate gate_;
  Exchange exchange_;
  Clock::time_point next_tick_{};
  std::size_t most_memory_bytes_ = 0;  // largest use since memory was returned
  FileDescriptor stop_;
  std::vector<ListenSocket> listening_;
  Clock::time_point accept_again_{};  // out of descriptors until then
  Clock::time_point tell_again_{};    // next log line that no connection can be accepted
  Protocols protocols_;               // its destructor calls back into all of the above
  std::thread thread_;
};

Status Server::Loop::Listen() {
  if (options_.inherited_socket >= 0) {
    auto socket = Adopt(FileDescriptor(options_.inherited_socket));
    if (!socket) return socket.error();
    listening_.push_back(std::move(*socket));
    return Ok();
  }
  for (const std::string& address : options_.listen_addresses) {
    auto socket = http::Listen(address);
    if (!socket) return socket.error();
    listening_.push_back(std::move(*socket));
  }
  return listening_.empty() ? Error{"there is no address to listen on"} : Ok();
}

Status Server::Loop::Start() {
  if (Status listening = Listen(); !listening) return listening;
  stop_ = FileDescriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_) return Error::FromErrno("cannot start the HTTP server: eventfd", errno);
  if (Status started = protocols_.Start(Protocols::KindFor(*options_.access->current())); !started) return started;
  renderer_.Start();
  thread_ = StartThread("http", [this] { Run(); });
  return Ok();
}

Server::Loop::~Loop() {
  if (!thread_.joinable()) return;
  // Cannot fail: the counter is far from its end.
  static_cast<void>(eventfd_write(stop_.get(), 1));
  thread_.join();
}

void Server::Loop::Run() {
  // The main thread handles signals, and a client's hang-up must not raise SIGPIPE.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  for (;;) {
    auto waits = Waits();
    poll(waits.data(), waits.size(), static_cast<int>(Wait().count()));
    if (waits[0].revents != 0) break;
    const auto woken = Clock::now();
    for (std::size_t i = 0; i < listening_.size(); ++i) {
      if (waits[waits.size() - 1 - i].revents != 0) Accept(waits[waits.size() - 1 - i].fd);
    }
    if (waits[1].revents != 0 || waits[2].revents != 0) exchange_.Resume();
    protocols_.Run();
    connections_.NoteRound(Clock::now() - woken);
    if (woken >= next_tick_) {
      exchange_.Resume();  // in case the renderer's event is lost: else all that share its answer would wait for ever
      Tick(woken);
    }
  }
  // Here, so that its callbacks run on this thread, as all others do.
  exchange_.GiveUp();
  protocols_.Stop();
}

// The listening sockets come last.
std::vector<pollfd> Server::Loop::Waits() const {
  std::vector<pollfd> waits{
      {stop_.get(), POLLIN, 0}, {renderer_.descriptor(), POLLIN, 0}, {gate_.descriptor(), POLLIN, 0}};
  protocols_.AddWaits(waits);
  const bool accepting = Accepting();
  for (const ListenSocket& each : listening_) {
    waits.push_back({accepting ? each.descriptor.get() : -1, POLLIN, 0});  // poll skips -1
  }
  return waits;
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

// We accept ourselves, since libmicrohttpd takes only 10 per round: behind a thousand connections a scrape would wait a
// hundred rounds, each with slow answers. At most a quarter of all at a time, so that no connection is evicted for
// later ones before its request was seen.
void Server::Loop::Accept(int listening) {
  for (unsigned count = 0; count < options_.connections_max / 4 && Accepting() && AcceptOne(listening); ++count) {
  }
}

bool Server::Loop::AcceptOne(int listening) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  auto* const peer = reinterpret_cast<sockaddr*>(&address);
  const int accepted = accept4(listening, peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (accepted >= 0) {
    MHD_Daemon* const daemon = protocols_.For(*options_.access->current());
    // It calls Exchange::OnConnection, and closes the socket on refusal.
    if (daemon == nullptr) {
      close(accepted);
    } else if (MHD_add_connection(daemon, accepted, peer, size) == MHD_YES) {
      return true;
    }
    Count(counters_.connections_turned_away);
    return true;
  }
  const int error = errno;
  // accept(2) also returns errors of the waiting connection.
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

std::chrono::milliseconds Server::Loop::Wait() const {
  // Without connections nothing can be overdue, but we may have to retry accept.
  return protocols_.Wait(connections_.size() == 0 ? std::chrono::milliseconds(1000) : tick_);
}

std::map<std::string, std::uint64_t> ServerStatistics::Overflows() const {
  return {{"http_connections", connections_turned_away},
          {"http_responses", responses_turned_away},
          {"http_deadlines", deadlines_missed},
          {"http_rate_limit", over_rate_limit},
          {"http_passwords", passwords_turned_away}};
}

Result<std::unique_ptr<Server>> Server::Start(Options options, std::map<std::string, Route> routes) {
  auto loop = std::make_unique<Loop>(std::move(options), std::move(routes));
  if (Status started = loop->Start(); !started) return started.error();
  return std::unique_ptr<Server>(new Server(std::move(loop)));
}

Server::Server(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}
Server::~Server() = default;

std::uint16_t Server::port() const { return loop_->port(); }
bool Server::is_beyond_loopback() const { return loop_->is_beyond_loopback(); }

ServerStatistics Server::statistics() const {
  const Counters& counters = loop_->counters();
  const auto load = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  return {.requests = load(counters.requests),
          .connections_turned_away = load(counters.connections_turned_away),
          .responses_turned_away = load(counters.responses_turned_away),
          .deadlines_missed = load(counters.deadlines_missed),
          .handler_failures = load(counters.handler_failures),
          .over_rate_limit = load(counters.over_rate_limit),
          .passwords_turned_away = load(counters.passwords_turned_away),
          .connections = load(counters.connections)};
}

}  // namespace conntally::http

#include "daemon/daemon.h"

#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "collectors/conntrack/conntrack_collector.h"
#include "collectors/netlink/file_descriptor.h"
#include "collectors/netlink/network_namespace.h"
#include "collectors/tally/tally.h"
#include "daemon/alert_service.h"
#include "daemon/alerts_api.h"
#include "daemon/build_info.h"
#include "daemon/drop_collector.h"
#include "daemon/exposition.h"
#include "daemon/history_api.h"
#include "daemon/http/server.h"
#include "daemon/load_config.h"
#include "daemon/log.h"
#include "daemon/observer.h"
#include "daemon/page.h"
#include "daemon/rule_collector.h"
#include "daemon/rules_api.h"
#include "daemon/service_manager.h"
#include "daemon/source_details.h"
#include "daemon/sources_api.h"
#include "daemon/status_api.h"
#include "daemon/table_collector.h"

namespace conntally {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// nullopt after logging every fault.
std::optional<Config> LoadConfigOrLog(const RunCommand& command) {
  ConfigOrFaults loaded = LoadConfig(command.config_file, command.overrides);
  if (auto* config = std::get_if<Config>(&loaded)) return std::move(*config);
  for (const ConfigFault& fault : std::get<std::vector<ConfigFault>>(loaded)) {
    spdlog::error("{}", Describe(fault, command.config_file.path));
  }
  return std::nullopt;
}

// Keys that this process keeps as it started with.
bool NeedsRestart(const Config& running, const Config& wanted) {
  return running.web != wanted.web || running.sources.ipv4_prefix != wanted.sources.ipv4_prefix ||
         running.sources.ipv6_prefix != wanted.sources.ipv6_prefix ||
         running.sources.tracked_max != wanted.sources.tracked_max ||
         running.conntrack.receive_buffer_bytes != wanted.conntrack.receive_buffer_bytes ||
         running.conntrack.connections_max != wanted.conntrack.connections_max || running.drops != wanted.drops;
}

FileDescriptor CatchSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return FileDescriptor(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

class Daemon {
 public:
  Daemon(RunCommand command, Config config)
      : command_(std::move(command)),
        config_(std::move(config)),
        tally_(config_.sources.tracked_max, KeyedHash::WithRandomSecret()),
        conntrack_({.receive_buffer_bytes = config_.conntrack.receive_buffer_bytes,
                    .reconcile_interval = config_.conntrack.reconcile_interval,
                    .connections_max = config_.conntrack.connections_max,
                    .grouping = {config_.sources.ipv4_prefix, config_.sources.ipv6_prefix},
                    .network_namespace_path = command_.netns_path.value_or("")},
                   tally_),
        table_(command_.netns_path.value_or("")),
        rules_(config_.rules, command_.netns_path.value_or("")),
        drops_({.drops = config_.drops,
                .ipv4_prefix = config_.sources.ipv4_prefix,
                .ipv6_prefix = config_.sources.ipv6_prefix,
                .network_namespace_path = command_.netns_path.value_or(""),
                .rules = &rules_}),
        observer_(config_, tally_, conntrack_, table_, rules_, drops_),
        alerts_(config_, observer_) {}

  int Run(const FileDescriptor& signals) {
    auto server = http::Server::Start({.listen_address = config_.web.listen_address}, Routes());
    if (!server) {
      spdlog::error("{}", server.error().message);
      return 1;
    }
    server_ = std::move(*server);
    serving_.store(server_.get(), std::memory_order_release);
    spdlog::info("serving http://{}/metrics", config_.web.listen_address);
    conntrack_.Start();
    rules_.Start();
    drops_.Start();
    alerts_.Start();
    source_details_.Start();
    Loop(signals);
    service_.NotifyStopping();
    server_.reset();
    source_details_.Stop();
    alerts_.Stop();
    drops_.Stop();
    rules_.Stop();
    conntrack_.Stop();
    spdlog::info("stopped");
    return 0;
  }

 private:
  // A parameter that would change nothing is refused: who gives one expects it to.
  static http::Handler WithoutParameters(std::function<http::Response()> answer) {
    return [answer = std::move(answer)](const http::Request& request) {
      if (request.query.empty()) return answer();
      return http::ErrorResponse(400, "no parameter '" + request.query.begin()->first + "'; there is none here");
    };
  }

  std::map<std::string, http::Handler> Routes() {
    return {
        {"/", [this](const http::Request&) { return AnswerPage(TakeSnapshot()); }},
        {"/metrics",
         [this](const http::Request&) {
           return http::Response{.content_type = kExpositionContentType, .body = Exposition(TakeSnapshot())};
         }},
        {"/healthz", [](const http::Request&) { return http::Response{.body = "ok\n"}; }},
        {"/readyz",
         [this](const http::Request&) {
           return observer_.ready() ? http::Response{.body = "ready\n"}
                                    : http::ErrorResponse(503, "the first comparison with the kernel's table is not done");
         }},
        {"/api/v1/sources", [this](const http::Request& request) { return sources_api_.Answer(request); }},
        {"/api/v1/rules",
         [this](const http::Request& request) {
           const auto name_of = [this](const IpAddress& source) { return observer_.NameOf(source); };
           return AnswerRules(observer_.Rules(), RuleSources(observer_.Drops()), name_of, request);
         }},
        {"/api/v1/alerts", WithoutParameters([this] { return AnswerAlerts(*alerts_.figures()); })},
        {"/api/v1/sources/detail", [this](const http::Request& request) { return source_details_.Answer(request); }},
        {"/api/v1/history", [this](const http::Request& request) { return AnswerHistory(observer_, request); }},
        {"/api/v1/status", WithoutParameters([this] { return AnswerStatus(TakeSnapshot()); })},
    };
  }

  Snapshot TakeSnapshot() {
    Snapshot snapshot = observer_.TakeSnapshot();
    alerts_.Describe(snapshot);
    const http::Server* server = serving_.load(std::memory_order_acquire);
    if (server == nullptr) return snapshot;  // the very first request, while the server is still being handed over
    const http::ServerStatistics http = server->statistics();
    snapshot.trust.overflows["http_connections"] = http.connections_turned_away;
    snapshot.trust.overflows["http_responses"] = http.responses_turned_away;
    snapshot.trust.overflows["http_deadlines"] = http.deadlines_missed;
    return snapshot;
  }

  void Loop(const FileDescriptor& signals) {
    Clock::time_point next_tick = Clock::now();
    for (;;) {
      const auto until_tick = std::chrono::ceil<std::chrono::milliseconds>(next_tick - Clock::now());
      // Until systemd knows that the service is ready, look more often.
      const auto limit = service_.ready_notified() ? until_tick : std::min<std::chrono::milliseconds>(until_tick, 20ms);
      pollfd ready{signals.get(), POLLIN, 0};
      poll(&ready, 1, static_cast<int>(std::max<std::chrono::milliseconds>(limit, 0ms).count()));
      if ((ready.revents & POLLIN) != 0 && TakeSignals(signals)) return;
      AnnounceReadiness();
      if (Clock::now() < next_tick) continue;
      next_tick += 1s;
      if (next_tick < Clock::now()) next_tick = Clock::now() + 1s;  // the machine slept: no catching up
      observer_.Tick();
      service_.FeedWatchdog(conntrack_.health().heartbeat.load(std::memory_order_relaxed));
    }
  }

  // True when one of them says stop.
  bool TakeSignals(const FileDescriptor& signals) {
    signalfd_siginfo taken{};
    while (read(signals.get(), &taken, sizeof taken) == sizeof taken) {
      if (taken.ssi_signo != SIGHUP) {
        spdlog::info("stopping on {}", strsignal(static_cast<int>(taken.ssi_signo)));
        return true;
      }
      Reload();
    }
    return false;
  }

  void AnnounceReadiness() {
    if (service_.ready_notified()) return;
    const ConntrackHealth& health = conntrack_.health();
    if (observer_.ready()) {
      spdlog::info("ready: {} connections reconciled in {:.3f} s", health.flows.load(std::memory_order_relaxed),
                   static_cast<double>(health.last_reconcile_duration_us.load(std::memory_order_relaxed)) / 1e6);
      service_.NotifyReady("tallies follow the kernel");
    } else if (const std::string failure = health.failure(); !failure.empty()) {
      service_.NotifyReady("degraded: " + failure);
    }
  }

  void Reload() {
    service_.NotifyReloading();
    std::optional<Config> wanted = LoadConfigOrLog(command_);
    observer_.set_reload_successful(wanted.has_value());
    if (wanted) {
      if (NeedsRestart(config_, *wanted)) {
        spdlog::warn("reload: web, conntrack.receive_buffer_bytes, conntrack.connections_max, the source prefixes, "
                     "sources.tracked_max and drops change only with a restart; the rest is taken over now");
      }
      ConfigureLog(wanted->log);
      conntrack_.set_reconcile_interval(wanted->conntrack.reconcile_interval);
      observer_.set_config(*wanted);
      alerts_.set_config(*wanted);
      spdlog::info("reload: configuration taken over");
    } else {
      spdlog::error("reload: the configuration has faults; the old one stays");
    }
    service_.NotifyReloaded();
  }

  const RunCommand command_;
  const Config config_;  // as started with
  Tally tally_;
  ConntrackCollector conntrack_;
  TableCollector table_;
  RuleCollector rules_;
  DropCollector drops_;
  Observer observer_;
  AlertService alerts_;
  SourcesApi sources_api_{observer_};
  SourceDetails source_details_{{config_.sources.ipv4_prefix, config_.sources.ipv6_prefix}, command_.netns_path.value_or("")};
  ServiceManager service_;
  std::atomic<const http::Server*> serving_{nullptr};
  std::unique_ptr<http::Server> server_;  // its handlers use all of the above
};

}  // namespace

int RunDaemon(const RunCommand& command) {
  const FileDescriptor signals = CatchSignals();
  Config::Log log;
  log.level = command.overrides.log_level.value_or(log.level);
  log.format = command.overrides.log_format.value_or(log.format);
  ConfigureLog(log);
  const std::optional<Config> config = LoadConfigOrLog(command);
  if (!config) return 1;
  ConfigureLog(config->log);
  if (const auto fit = CheckNetworkNamespacePath(command.netns_path.value_or("")); command.netns_path && !fit) {
    spdlog::error("--netns: {}", fit.error().message);
    return 1;
  }
  const BuildInfo build = GetBuildInfo();
  spdlog::info("conntally {} (revision {})", build.version, build.revision);
  return std::make_unique<Daemon>(command, *config)->Run(signals);
}

}  // namespace conntally

#include "daemon/daemon.h"

#include <spdlog/fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "collectors/conntrack/conntrack_collector.h"
#include "collectors/nat/nat_collector.h"
#include "collectors/system/network_namespace.h"
#include "collectors/system/threads/worker_thread.h"
#include "collectors/tally/tally.h"
#include "daemon/alerts/alert_service.h"
#include "daemon/api/alerts_api.h"
#include "daemon/api/destinations_api.h"
#include "daemon/api/drops_api.h"
#include "daemon/api/history_api.h"
#include "daemon/api/nat_api.h"
#include "daemon/api/rules_api.h"
#include "daemon/api/sources/source_details.h"
#include "daemon/api/sources/sources_api.h"
#include "daemon/api/status_api.h"
#include "daemon/api/values/query_values.h"
#include "daemon/command_line/client/ask_daemon.h"
#include "daemon/command_line/load_config.h"
#include "daemon/command_line/restart_keys.h"
#include "daemon/drops/drop_collector.h"
#include "daemon/exposition/exposition.h"
#include "daemon/http/server/server.h"
#include "daemon/log/log.h"
#include "daemon/observation/observer.h"
#include "daemon/observation/snapshot/collector_transitions.h"
#include "daemon/observation/snapshot/trust_verdict.h"
#include "daemon/observation/table_collector.h"
#include "daemon/page/page.h"
#include "daemon/process/build_info.h"
#include "daemon/process/kept_memory.h"
#include "daemon/process/service_manager.h"
#include "daemon/process/signals.h"
#include "daemon/process/start_failure.h"
#include "daemon/rules/rule_collector.h"
#include "daemon/web_access.h"

namespace conntally {
namespace {

using namespace std::chrono_literals;
using http::WithoutParameters;
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

class Daemon {
 public:
  Daemon(RunCommand command, Config config)
      : command_(std::move(command)),
        config_(std::move(config)),
        tally_(config_.sources.tracked_max, KeyedHash::WithRandomSecret()),
        conntrack_({.event_source = config_.conntrack.event_source,
                    .receive_buffer_bytes = config_.conntrack.receive_buffer_bytes,
                    .reconcile_interval = config_.conntrack.reconcile_interval,
                    .connections_max = config_.conntrack.connections_max,
                    .grouping = config_.sources.grouping(),
                    .network_namespace_path = command_.netns_path.value_or("")},
                   tally_),
        table_(command_.netns_path.value_or("")),
        rules_(config_.rules, command_.netns_path.value_or("")),
        drops_({.drops = config_.drops,
                .grouping = config_.sources.grouping(),
                .network_namespace_path = command_.netns_path.value_or(""),
                .rules = &rules_}),
        nat_({.grouping = config_.sources.grouping(),
              .network_namespace_path = command_.netns_path.value_or(""),
              .rules = [this] { return rules_.figures(); },
              .translations_seen = [this] { return conntrack_.health().translations_seen.load(); }}),
        observer_(config_, tally_, conntrack_, table_, rules_, drops_, nat_, {collectors_.begin(), collectors_.end()}),
        alerts_(config_, [this](const AlertRules& rules) { return observer_.GatherEvidence(rules); },
                {.directory = command_.state_directory.value_or(StateDirectoryOfSystemd()),
                 .namespace_path = command_.netns_path.value_or("")}) {}

  // Throws std::system_error if a thread cannot be started.
  Status Run() {
    observer_.set_reload(true, std::chrono::system_clock::now());
    auto passed = TakePassedSocket();
    if (!passed) return passed.error();
    if (!web_access_.Take(config_.web.config_file)) return Error{"the web configuration has faults"};
    const auto listen_addresses = *passed ? std::vector<std::string>{(*passed)->address} : config_.web.listen_addresses;
    alerts_.Restore();
    auto server = http::Server::Start({.listen_addresses = listen_addresses,
                                       .inherited_socket = *passed ? (*passed)->descriptor : -1,
                                       .access = web_access_.control(),
                                       .allowed_hosts = config_.web.allowed_hosts},
                                      Routes());
    if (!server) return server.error();
    server_ = std::move(*server);
    serving_.store(server_.get(), std::memory_order_release);
    web_access_.TellServing(listen_addresses, *server_, passed->has_value());
    for (Collector* collector : collectors_) collector->Start();
    alerts_.Start();
    source_details_.Start();
    KeepRunning("daemon", [this] { Loop(); });
    service_.NotifyStopping();
    server_.reset();
    source_details_.Stop();
    alerts_.Stop();
    for (auto collector = collectors_.rbegin(); collector != collectors_.rend(); ++collector) (*collector)->Stop();
    spdlog::info("stopped");
    return Ok();
  }

 private:
  std::map<std::string, http::Route> Routes() {
    const NameOfSource name_of = [this](const IpAddress& source) { return observer_.NameOf(source); };
    return {
        {"/", [this](const http::Request&) { return AnswerPage(TakeSnapshot()); }},
        {"/metrics",
         {[this](const http::Request&) {
            return http::Response{.content_type = kExpositionContentType, .body = Exposition(TakeSnapshot())};
          },
          http::Lane::kScrape}},
        {"/healthz", {[](const http::Request&) { return http::Response{.body = "ok\n"}; }, http::Lane::kAtOnce}},
        {"/readyz",
         {[this](const http::Request&) {
            return observer_.ready()
                       ? http::Response{.body = "ready\n"}
                       : http::ErrorResponse(503, "the first comparison with the kernel's table is not done");
          },
          http::Lane::kAtOnce}},
        {"/api/v1/sources",
         {[this](const http::Request& request) { return AnswerSources(observer_, request); }, &SourcesLane}},
        {"/api/v1/destinations",
         {[this](const http::Request& request) { return AnswerDestinations(observer_, request); }, &DestinationsLane}},
        {"/api/v1/drops", {[this](const http::Request& request) { return AnswerDrops(drops_, request); }, &DropsLane}},
        {"/api/v1/rules",
         [this, name_of](const http::Request& request) {
           return AnswerRules(observer_.Rules(), RuleSources(observer_.Drops()), name_of, request);
         }},
        {"/api/v1/nat",
         [this, name_of](const http::Request& request) { return AnswerNat(observer_.Nat().get(), name_of, request); }},
        {"/api/v1/alerts", WithoutParameters([this] { return AnswerAlerts(*alerts_.figures()); })},
        {"/api/v1/sources/detail", [this](const http::Request& request) { return source_details_.Answer(request); }},
        {"/api/v1/history", [this](const http::Request& request) { return AnswerHistory(observer_, request); }},
        {"/api/v1/status", WithoutParameters([this] { return AnswerStatus(TakeSnapshot()); })},
    };
  }

  Snapshot TakeSnapshot() {
    Snapshot snapshot = observer_.TakeSnapshot();
    snapshot.alerts = alerts_.figures();
    CollectorReport report;
    alerts_.Describe(report);
    snapshot.trust.overflows.merge(report.overflows);
    const http::Server* server = serving_.load(std::memory_order_acquire);
    if (server == nullptr) return snapshot;  // the very first request, before `server_` is set
    snapshot.trust.overflows.merge(server->statistics().Overflows());
    snapshot.trust.overflows["log_lines"] = LogLinesLost();
    return snapshot;
  }

  void Loop() {
    Clock::time_point next_tick = Clock::now();
    for (;;) {
      const auto until_tick = std::chrono::ceil<std::chrono::milliseconds>(next_tick - Clock::now());
      // Until the service is ready, check more often.
      const auto limit = service_.ready_notified() ? until_tick : std::min<std::chrono::milliseconds>(until_tick, 20ms);
      if (AwaitStop(std::max<std::chrono::milliseconds>(limit, 0ms))) return;
      TellStanding();
      if (Clock::now() < next_tick) continue;
      next_tick += 1s;
      if (next_tick < Clock::now()) next_tick = Clock::now() + 1s;  // the machine slept: do not catch up
      observer_.Tick();
      if (web_access_.TakeIfChanged()) NoteReload();
      service_.FeedWatchdog(conntrack_.health().heartbeat.load(std::memory_order_relaxed));
    }
  }

  // Takes the next signal, if one comes within this time; true for a signal to stop. Needs no descriptor.
  bool AwaitStop(std::chrono::milliseconds at_most) {
    const int taken = TakeSignal(at_most);
    if (taken == SIGHUP) Reload();
    if (taken != SIGINT && taken != SIGTERM) return false;
    spdlog::info("stopping on {}", strsignal(taken));
    return true;
  }

  // Reports each change once, to the log and to systemd.
  void TellStanding() {
    const Snapshot standing = observer_.TakeStanding();
    for (const CollectorTransitions::Line& line : reports_.Update(standing.collectors, Clock::now())) {
      LogWith({.collector = line.collector},
              line.kind == CollectorTransitions::Kind::kFails ? spdlog::level::err : spdlog::level::info, line.text);
    }
    if (standing.trust.ready && !std::exchange(ready_told_, true)) {
      spdlog::info("ready: {} connections reconciled in {:.3f} s", standing.flows,
                   standing.trust.reconcile_duration_seconds);
    }
    const std::string verdict = TrustVerdict(standing.trust, standing.collectors);
    const std::string failing = FailingCollectors(standing.collectors);
    const bool degraded = !failing.empty() || (standing.trust.ready && !standing.trust.synced);
    service_.NotifyStatus(degraded               ? "degraded: " + (failing.empty() ? verdict : failing)
                          : standing.trust.ready ? "tallies follow the kernel"
                                                 : "reading the kernel's table for the first time");
    // Ready, or known why it is not.
    if (standing.trust.ready || standing.collectors.at("conntrack").failing()) service_.NotifyReady();
  }

  void Reload() {
    service_.NotifyReloading();
    std::optional<Config> wanted;
    const auto loaded = Caught([&] { wanted = LoadConfigOrLog(command_); });
    if (!loaded) spdlog::error("reload: {}", loaded.error().message);
    if (wanted && !web_access_.Take(wanted->web.config_file)) wanted.reset();
    config_sound_ = wanted.has_value();
    NoteReload();
    if (wanted) {
      if (const auto keys = KeysThatNeedRestart(config_, *wanted); !keys.empty()) {
        spdlog::warn("reload: the change of {} needs a restart; all other changes apply now", fmt::join(keys, ", "));
      }
      ConfigureLog(wanted->log);
      conntrack_.set_reconcile_interval(wanted->conntrack.reconcile_interval);
      observer_.set_config(*wanted);
      alerts_.set_config(*wanted);
      spdlog::info("reload: the new configuration applies");
    } else {
      spdlog::error("reload: the configuration has faults; the old one still applies");
    }
    service_.NotifyReloaded();
  }

  void NoteReload() { observer_.set_reload(config_sound_ && web_access_.sound(), std::chrono::system_clock::now()); }

  const RunCommand command_;
  bool config_sound_ = true;
  WebAccess web_access_;
  const Config config_;  // as started with
  Tally tally_;
  ConntrackCollector conntrack_;
  TableCollector table_;
  RuleCollector rules_;
  DropCollector drops_;
  NatCollector nat_;
  // In the order of their start.
  const std::vector<Collector*> collectors_{&conntrack_, &table_, &rules_, &drops_, &nat_};
  Observer observer_;
  AlertService alerts_;
  SourceDetails source_details_{config_.sources.grouping(), command_.netns_path.value_or("")};
  ServiceManager service_;
  CollectorTransitions reports_;
  bool ready_told_ = false;
  std::atomic<const http::Server*> serving_{nullptr};
  std::unique_ptr<http::Server> server_;  // its handlers use all of the above
};

// False, with the reason logged, if it could not start.
bool RunUntilStopped(const RunCommand& command) {
  Status ran = Ok();
  const auto started = Caught([&] {
    ConfigureLog({.level = command.overrides.log_level.value_or(Config::Log{}.level),
                  .format = command.overrides.log_format.value_or(Config::Log{}.format)});
    const std::optional<Config> config = LoadConfigOrLog(command);
    if (!config) {
      ran = Error{"the configuration has faults"};
      return;
    }
    ConfigureLog(config->log);
    const BuildInfo build = GetBuildInfo();
    spdlog::info("conntally {} (revision {})", build.version, build.revision);
    ran = ExpectRoomForFiles();
    if (ran && command.netns_path) ran = CheckNetworkNamespacePath(*command.netns_path);
    if (ran) ran = std::make_unique<Daemon>(command, *config)->Run();
  });
  if (!started || !ran) spdlog::error("{}", ExplainStartFailure(started ? ran.error() : started.error()));
  return started && ran;
}

}  // namespace

int RunDaemon(const RunCommand& command) {
  LimitKeptMemory();
  KeepSignalsPending();
  std::set_terminate(LogAndAbort);
  const bool ran = RunUntilStopped(command);
  DrainLog();
  return ran ? 0 : 1;
}

}  // namespace conntally

#include "daemon/command_line/grammar/command_line.h"

#include <initializer_list>
#include <vector>

#include "daemon/process/build_info.h"
#include "test/support/catch.h"

using namespace conntally;

namespace {

Command Parse(std::initializer_list<const char*> words) {
  std::vector<const char*> arguments = {"conntally"};
  arguments.insert(arguments.end(), words);
  return ParseCommandLine(arguments);
}

template <typename T>
T Expect(std::initializer_list<const char*> words) {
  const Command command = Parse(words);
  if (const auto* printed = std::get_if<PrintAndExit>(&command)) INFO(printed->text);
  REQUIRE(std::holds_alternative<T>(command));
  return std::get<T>(command);
}

// The first line of what a usage error says.
std::string ErrorOf(std::initializer_list<const char*> words) {
  const auto printed = Expect<PrintAndExit>(words);
  CHECK(printed.stream == PrintAndExit::Stream::kError);
  CHECK(printed.exit_code == 1);
  return printed.text.substr(0, printed.text.find('\n'));
}

}  // namespace

TEST_CASE("without arguments the daemon runs with the default file, if there is one") {
  for (const RunCommand& run : {Expect<RunCommand>({}), std::get<RunCommand>(ParseCommandLine({}))}) {
    CHECK(run.config_file.path == "/etc/conntally/conntally.yaml");
    CHECK_FALSE(run.config_file.is_explicit);
    CHECK_FALSE(run.netns_path);
    Config config;
    run.overrides.ApplyTo(config);
    CHECK(config == Config{});
  }
}

TEST_CASE("the daemon's flags override the file") {
  const auto run = Expect<RunCommand>(
      {"--config", "/tmp/c.yaml", "--web.listen-address=[::]:9105", "--log.level", "warn", "--log.format", "json"});
  CHECK(run.config_file.path == "/tmp/c.yaml");
  CHECK(run.config_file.is_explicit);
  Config config;
  run.overrides.ApplyTo(config);
  CHECK(config.web.listen_addresses == std::vector<std::string>{"[::]:9105"});
  CHECK(config.log == Config::Log{Config::LogLevel::kWarning, Config::LogFormat::kJson});
  CHECK(Expect<RunCommand>({"--web.listen-address", "[::1]:0"}).overrides.listen_addresses ==
        std::vector<std::string>{"[::1]:0"});
}

TEST_CASE("the state's directory is a path, and none by default") {
  CHECK_FALSE(Expect<RunCommand>({}).state_directory);
  CHECK(Expect<RunCommand>({"--state.directory", "/var/lib/conntally"}).state_directory == "/var/lib/conntally");
  CHECK(ErrorOf({"--state.directory", ""}).find("allowed: a path") != std::string::npos);
  CHECK(ErrorOf({"status", "--state.directory", "/tmp"}).find("is a flag of the daemon") != std::string::npos);
}

TEST_CASE("a namespace is a name or a path") {
  CHECK(Expect<RunCommand>({"--netns", "blue"}).netns_path == "/run/netns/blue");
  CHECK(Expect<RunCommand>({"--netns", "/proc/1/ns/net"}).netns_path == "/proc/1/ns/net");
  CHECK(Expect<RunCommand>({"--netns", "./net"}).netns_path == "./net");
  CHECK(ErrorOf({"--netns", ".."}).find("allowed: a name under /run/netns, or a path") != std::string::npos);
  CHECK(ErrorOf({"--netns="}).find("--netns") != std::string::npos);
}

TEST_CASE("check-config takes its file from either place, and has a default") {
  CHECK(Expect<CheckConfigCommand>({"check-config"}).config_file.path == kDefaultConfigPath);
  CHECK(Expect<CheckConfigCommand>({"check-config", "a.yaml"}).config_file.path == "a.yaml");
  CHECK(Expect<CheckConfigCommand>({"check-config", "status"}).config_file.path == "status");
  CHECK(Expect<CheckConfigCommand>({"check-config", "--config", "b.yaml"}).config_file.path == "b.yaml");
  CHECK(Expect<CheckConfigCommand>({"--config", "b.yaml", "check-config"}).config_file.path == "b.yaml");
  CHECK(ErrorOf({"check-config", "a.yaml", "--config", "b.yaml"}).find("not both") != std::string::npos);
  CHECK(ErrorOf({"check-config", "a.yaml", "b.yaml"}) == "conntally: check-config does not take \"b.yaml\"");
  CHECK(ErrorOf({"check-config", ""}).find("is not a file") != std::string::npos);
  CHECK(ErrorOf({"check-config", "--log.level", "debug"}) ==
        "conntally: --log.level is a flag of the daemon; check-config does not take it");
}

TEST_CASE("addresses and the web configuration come from flags, too") {
  const auto run = Expect<RunCommand>(
      {"--web.listen-address", "a:1", "--web.listen-address=[::1]:2", "--web.config.file", "web.yaml"});
  Config config;
  run.overrides.ApplyTo(config);
  CHECK(config.web.listen_addresses == std::vector<std::string>{"a:1", "[::1]:2"});
  CHECK(config.web.config_file == "web.yaml");
  CHECK(ErrorOf({"--web.listen-address", "a:1", "--web.listen-address", "b"}).find("\"b\"") != std::string::npos);
  CHECK(ErrorOf({"--web.listen-address", "a:1", "--web.listen-address", "a:1"}).find("\"a:1\" is given twice") !=
        std::string::npos);
  CHECK(ErrorOf({"--web.listen-address", "a:1", "b:2"}).find("unknown command \"b:2\"") != std::string::npos);
  CHECK(Expect<CheckConfigCommand>({"check-config", "--web.config.file", "w"}).web_config_file == "w");
}

TEST_CASE("status asks whom and as whom it is told") {
  const auto status = Expect<StatusCommand>({"status", "--url", "https://gw:9105", "--http.config.file", "c.yaml"});
  CHECK(status.peer.url == "https://gw:9105");
  CHECK(status.peer.client_config_path == "c.yaml");
  CHECK(ErrorOf({"status", "--url", "gw:9105"}).find("allowed: http://HOST") != std::string::npos);
  CHECK(ErrorOf({"--url", "https://gw:9105"}).find("unknown flag \"--url\"") != std::string::npos);
}

TEST_CASE("status knows where the daemon is") {
  CHECK_FALSE(Expect<StatusCommand>({"status"}).json);
  const auto status = Expect<StatusCommand>({"status", "--json", "--config", "c.yaml", "--web.listen-address", "h:1"});
  CHECK(status.json);
  CHECK(status.config_file.path == "c.yaml");
  CHECK(status.config_file.is_explicit);
  CHECK(status.overrides.listen_addresses == std::vector<std::string>{"h:1"});
  CHECK(ErrorOf({"status", "--netns", "blue"}).find("--netns is a flag of the daemon; status does not take it") !=
        std::string::npos);
  CHECK(ErrorOf({"status", "now"}) == "conntally: status does not take \"now\"");
}

TEST_CASE("diagnose is told which traffic it is about") {
  const auto whole = Expect<DiagnoseCommand>({"diagnose"});
  CHECK_FALSE(whole.question.source);
  CHECK_FALSE(whole.question.protocol);
  CHECK(whole.question.observe.count() == 0);
  const auto narrowed =
      Expect<DiagnoseCommand>({"diagnose", "--source", "192.0.2.7", "--destination", "198.51.100.2", "--dport", "443",
                               "--observe", "10s", "--json", "--netns", "blue", "--config", "c.yaml"});
  CHECK(narrowed.question.source == IpAddress::Parse("192.0.2.7"));
  CHECK(narrowed.question.destination == IpAddress::Parse("198.51.100.2"));
  CHECK(narrowed.question.destination_port == 443);
  CHECK(narrowed.question.protocol == 6);  // a port's protocol, unless another is named
  CHECK(narrowed.question.observe == std::chrono::seconds(10));
  CHECK(narrowed.json);
  CHECK(narrowed.netns_path == "/run/netns/blue");
  CHECK(narrowed.config_file.path == "c.yaml");
  CHECK(Expect<DiagnoseCommand>({"diagnose", "--dport", "53", "--protocol", "UDP"}).question.protocol == 17);
  CHECK(Expect<DiagnoseCommand>({"diagnose", "--protocol", "47"}).question.protocol == 47);
}

TEST_CASE("what diagnose cannot be asked is no finding") {
  const auto error_of = [](std::initializer_list<const char*> words) {
    const auto printed = Expect<PrintAndExit>(words);
    CHECK(printed.stream == PrintAndExit::Stream::kError);
    CHECK(printed.exit_code == 2);
    return printed.text.substr(0, printed.text.find('\n'));
  };
  CHECK(error_of({"diagnose", "--source", "host"}).find("--source: \"host\" is not an address; allowed:") !=
        std::string::npos);
  CHECK(error_of({"diagnose", "--dport", "65536"}).find("allowed: 1 to 65535") != std::string::npos);
  CHECK(error_of({"diagnose", "--dport", "http"}).find("--dport") != std::string::npos);
  CHECK(error_of({"diagnose", "--protocol", "tpc"}).find("allowed: tcp, udp, icmp") != std::string::npos);
  CHECK(error_of({"diagnose", "--dport", "1", "--protocol", "icmp"}).find("has no ports") != std::string::npos);
  CHECK(error_of({"diagnose", "--observe", "11m"}).find("10m at most") != std::string::npos);
  CHECK(error_of({"diagnose", "--observe", "10"}).find("--observe") != std::string::npos);
  CHECK(error_of({"diagnose", "--source", "192.0.2.1", "--destination", "::1"}).find("different families") !=
        std::string::npos);
  CHECK(error_of({"diagnose", "--dpot", "1"}).find("the nearest is --dport") != std::string::npos);
  CHECK(error_of({"diagnose", "--source"}).find("--source") != std::string::npos);
  CHECK(error_of({"diagnose", "--log.level", "debug"}).find("diagnose does not take it") != std::string::npos);
  CHECK(error_of({"diagnose", "now"}).find("does not take \"now\"") != std::string::npos);
}

TEST_CASE("an unknown flag names the nearest one") {
  CHECK(ErrorOf({"--log.levle", "debug"})
            .starts_with("conntally: unknown flag \"--log.levle\", the nearest is --log.level;"));
  CHECK(ErrorOf({"--log.levle=debug"})
            .starts_with("conntally: unknown flag \"--log.levle\", the nearest is --log.level;"));
  CHECK(ErrorOf({"--listen-address", ":1"}).find("the nearest is --web.listen-address") != std::string::npos);
  CHECK(ErrorOf({"status", "--jsn"}).find("the nearest is --json") != std::string::npos);
  CHECK(ErrorOf({"--json"}).starts_with("conntally: unknown flag \"--json\""));
  CHECK(ErrorOf({"-x"}).starts_with("conntally: unknown flag \"-x\"; allowed: --help, --version, --config"));
}

TEST_CASE("an unknown command names the nearest one") {
  CHECK(ErrorOf({"chek-config"}) ==
        "conntally: unknown command \"chek-config\", the nearest is check-config; allowed: check-config, status, top, "
        "diagnose, completion");
  CHECK(ErrorOf({"tip", "--once"}).starts_with("conntally: unknown "));
  CHECK(ErrorOf({""}).starts_with("conntally: unknown command \"\""));
}

TEST_CASE("two dashes end the flags and are nothing themselves") {
  Expect<RunCommand>({"--"});
  CHECK(Expect<CheckConfigCommand>({"check-config", "--", "a.yaml"}).config_file.path == "a.yaml");
  CHECK(ErrorOf({"--", "foo"}).starts_with("conntally: unknown command \"foo\""));
}

TEST_CASE("a value that cannot be says what is allowed") {
  CHECK(ErrorOf({"--log.level", "loud"}) ==
        "conntally: --log.level: \"loud\" is unknown; allowed: debug, info, warning or error");
  CHECK(ErrorOf({"--log.format", "xml"}).ends_with("allowed: text or json"));
  CHECK(ErrorOf({"--web.listen-address", "9105"}).find("allowed: HOST:PORT") != std::string::npos);
  CHECK(ErrorOf({"--config="}).find("--config") != std::string::npos);
  CHECK(ErrorOf({"--config"}).find("--config") != std::string::npos);
  CHECK(ErrorOf({"--log.level", "info", "--log.level", "debug"}).find("--log.level") != std::string::npos);
}

TEST_CASE("help and version go to the output, and are a success") {
  const auto help = Expect<PrintAndExit>({"--help"});
  CHECK(help.stream == PrintAndExit::Stream::kOutput);
  CHECK(help.exit_code == 0);
  for (const char* part :
       {"--config", "--web.listen-address", "--log.level", "--log.format", "--netns", "check-config", "status"}) {
    CHECK(help.text.find(part) != std::string::npos);
  }
  CHECK(help.text.ends_with('\n'));
  const auto version = Expect<PrintAndExit>({"--version"});
  CHECK(version.text == VersionText());
  CHECK(version.exit_code == 0);
  CHECK(Expect<PrintAndExit>({"status", "--help"}).text.find("--json") != std::string::npos);
}

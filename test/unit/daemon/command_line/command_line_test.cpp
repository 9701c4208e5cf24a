#include "daemon/command_line.h"

#include <initializer_list>
#include <vector>

#include "daemon/build_info.h"
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
  const auto run = Expect<RunCommand>({"--config", "/tmp/c.yaml", "--web.listen-address=[::]:9105",
                                       "--log.level", "warn", "--log.format", "json"});
  CHECK(run.config_file.path == "/tmp/c.yaml");
  CHECK(run.config_file.is_explicit);
  Config config;
  run.overrides.ApplyTo(config);
  CHECK(config.web.listen_address == "[::]:9105");
  CHECK(config.log == Config::Log{Config::LogLevel::kWarning, Config::LogFormat::kJson});
  CHECK(Expect<RunCommand>({"--web.listen-address", "[::1]:0"}).overrides.listen_address == "[::1]:0");
}

TEST_CASE("a namespace is a name or a path") {
  CHECK(Expect<RunCommand>({"--netns", "blue"}).netns_path == "/run/netns/blue");
  CHECK(Expect<RunCommand>({"--netns", "/proc/1/ns/net"}).netns_path == "/proc/1/ns/net");
  CHECK(Expect<RunCommand>({"--netns", "./net"}).netns_path == "./net");
  CHECK(ErrorOf({"--netns", ".."}).find("allowed: a name under /run/netns, or a path") != std::string::npos);
  CHECK(ErrorOf({"--netns="}).find("--netns") != std::string::npos);
}

TEST_CASE("check-config takes its file from either place, and has a default") {
  CHECK(Expect<CheckConfigCommand>({"check-config"}).path == kDefaultConfigPath);
  CHECK(Expect<CheckConfigCommand>({"check-config", "a.yaml"}).path == "a.yaml");
  CHECK(Expect<CheckConfigCommand>({"check-config", "status"}).path == "status");
  CHECK(Expect<CheckConfigCommand>({"check-config", "--config", "b.yaml"}).path == "b.yaml");
  CHECK(Expect<CheckConfigCommand>({"--config", "b.yaml", "check-config"}).path == "b.yaml");
  CHECK(ErrorOf({"check-config", "a.yaml", "--config", "b.yaml"}).find("not both") != std::string::npos);
  CHECK(ErrorOf({"check-config", "a.yaml", "b.yaml"}) == "conntally: check-config does not take \"b.yaml\"");
  CHECK(ErrorOf({"check-config", ""}).find("is not a file") != std::string::npos);
  CHECK(ErrorOf({"check-config", "--log.level", "debug"}) ==
        "conntally: --log.level is a flag of the daemon; check-config does not take it");
}

TEST_CASE("status knows where the daemon is") {
  CHECK_FALSE(Expect<StatusCommand>({"status"}).json);
  const auto status =
      Expect<StatusCommand>({"status", "--json", "--config", "c.yaml", "--web.listen-address", "h:1"});
  CHECK(status.json);
  CHECK(status.config_file.path == "c.yaml");
  CHECK(status.config_file.is_explicit);
  CHECK(status.overrides.listen_address == "h:1");
  CHECK(ErrorOf({"status", "--netns", "blue"})
            .find("--netns is a flag of the daemon; status does not take it") != std::string::npos);
  CHECK(ErrorOf({"status", "now"}) == "conntally: status does not take \"now\"");
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
        "conntally: unknown command \"chek-config\", the nearest is check-config; allowed: check-config, "
        "status");
  CHECK(ErrorOf({"top"}).starts_with("conntally: unknown command \"top\""));
  CHECK(ErrorOf({"diagnose", "--json"}).starts_with("conntally: unknown "));
  CHECK(ErrorOf({""}).starts_with("conntally: unknown command \"\""));
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
  for (const char* part : {"--config", "--web.listen-address", "--log.level", "--log.format", "--netns",
                           "check-config", "status"}) {
    CHECK(help.text.find(part) != std::string::npos);
  }
  CHECK(help.text.ends_with('\n'));
  const auto version = Expect<PrintAndExit>({"--version"});
  CHECK(version.text == VersionText());
  CHECK(version.exit_code == 0);
  CHECK(Expect<PrintAndExit>({"status", "--help"}).text.find("--json") != std::string::npos);
}

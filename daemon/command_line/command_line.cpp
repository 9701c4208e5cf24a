#include "daemon/command_line/command_line.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>
#include <vector>

#include "collectors/tally/protocol_names.h"
#include "config/address_notation.h"
#include "config/nearest.h"
#include "config/notation.h"
#include "daemon/command_line/completion.h"
#include "daemon/command_line/flag_values.h"
#include "daemon/process/build_info.h"

namespace conntally {
namespace {

// What CLI11 fills in. The names of flags and commands stand here only.
struct Grammar {
  Grammar();

  CLI::App app{"Exact per-source conntrack tallies for Prometheus. Without a command: the daemon, in the foreground."};
  std::string config_path;
  std::string listen_address;
  std::string log_level;
  std::string log_format;
  std::string netns;
  std::string state_directory;
  std::string checked_path;
  bool json = false;
  bool once = false;
  std::string interval;
  std::string source;
  std::string destination;
  std::string destination_port;
  std::string protocol;
  std::string observe;
  std::string shell;
  CLI::Option* config = nullptr;
  CLI::Option* listen = nullptr;
  CLI::Option* netns_option = nullptr;
  CLI::Option* state = nullptr;
  CLI::App* check_config = nullptr;
  CLI::App* status = nullptr;
  CLI::App* top = nullptr;
  CLI::App* diagnose = nullptr;
  CLI::App* completion = nullptr;

 private:
  void AddDiagnose();
};

Grammar::Grammar() {
  app.name("conntally");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_version_flag("--version", VersionText(), "Print the version and exit");
  config = app.add_option("--config", config_path,
                          "Configuration file [" + std::string(kDefaultConfigPath) + " if it exists]");
  config->type_name("FILE");
  listen = app.add_option("--web.listen-address", listen_address, "Where to serve metrics, the page and the API");
  listen->type_name("HOST:PORT");
  app.add_option("--log.level", log_level, "Least severe messages to log: " + DescribeChoices(kLogLevels))
      ->type_name("LEVEL");
  app.add_option("--log.format", log_format, "How to write log lines: " + DescribeChoices(kLogFormats))
      ->type_name("FORMAT");
  netns_option = app.add_option("--netns", netns, "Network namespace to watch: a name of `ip netns list`, or a path");
  netns_option->type_name("NAME-or-PATH");
  state = app.add_option("--state.directory", state_directory,
                         "Where to keep alerts and baselines across restarts [$STATE_DIRECTORY, else nowhere]");
  state->type_name("DIR");

  check_config = app.add_subcommand("check-config", "Check a configuration file: print `OK` or every fault");
  check_config->add_option("FILE", checked_path, "The file [" + std::string(kDefaultConfigPath) + "]")->type_name("");
  status = app.add_subcommand("status", "Show the state of a running daemon");
  status->add_flag("--json", json, "As JSON");
  status->footer("Also takes --config and --web.listen-address, to find the daemon.");

  top = app.add_subcommand("top", "Watch sources, rules and the table live in the terminal");
  top->add_flag("--once", once, "Print one frame as plain text, for example into a pipe");
  top->add_option("--interval", interval, "Time between two updates [2s]")->type_name("DURATION");
  top->footer("Also takes --config and --web.listen-address, to find the daemon.");
  AddDiagnose();
  completion = app.add_subcommand("completion", "Print the completion script of a shell: bash or zsh")->group("");
  completion->add_option("SHELL", shell)->type_name("");

  // The flags above may also follow a command; what is left over is ours to explain.
  app.require_subcommand(0, 1);
  app.allow_extras();
  for (CLI::App* command : {check_config, status, top, diagnose, completion}) command->fallthrough()->allow_extras();
}

void Grammar::AddDiagnose() {
  diagnose = app.add_subcommand("diagnose", "Find out why packets are refused or lost; changes nothing");
  diagnose->add_option("--source", source, "Source address of the packets")->type_name("IP");
  diagnose->add_option("--destination", destination, "Destination address: this host, or a host behind it [this host]")
      ->type_name("IP");
  diagnose->add_option("--dport", destination_port, "Destination port")->type_name("PORT");
  diagnose->add_option("--protocol", protocol, "Protocol, by name or number [tcp, if a port is given]")
      ->type_name("PROTOCOL");
  diagnose->add_option("--observe", observe, "How long to watch packets and counters, for example 10s")
      ->type_name("DURATION");
  diagnose->add_flag("--json", json, "As JSON");
  diagnose->footer(
      "Exit code: 0 nothing found, 1 a finding, 2 could not look.\n"
      "Also takes --netns, and --config and --web.listen-address to find a running daemon, which it asks.");
}

PrintAndExit UsageError(const std::string& message) {
  return {"conntally: " + message + "\nTry `conntally --help`.\n", PrintAndExit::Stream::kError, 1};
}

std::vector<std::string> FlagsOf(const CLI::App& app) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  return flags;
}

std::string Join(const std::vector<std::string>& words) {
  std::string joined;
  for (const std::string& word : words) joined.append(joined.empty() ? "" : ", ").append(word);
  return joined;
}

std::string NotUnderstood(std::string_view kind, std::string_view word, const std::vector<std::string>& allowed) {
  std::string message = "unknown " + std::string(kind) + " " + Quoted(word);
  if (const auto nearest = Nearest(word, allowed)) message += ", the nearest is " + *nearest;
  return message + "; allowed: " + Join(allowed);
}

std::optional<PrintAndExit> FindLeftover(const Grammar& grammar, const CLI::App* command) {
  auto leftovers = grammar.app.remaining(true);
  // CLI11 hands back the mark that ends the flags, too.
  std::erase(leftovers, "--");
  if (leftovers.empty()) return std::nullopt;
  const auto first_flag =
      std::find_if(leftovers.begin(), leftovers.end(), [](const std::string& word) { return word.starts_with('-'); });
  if (first_flag != leftovers.end()) {
    std::vector<std::string> flags = FlagsOf(grammar.app);
    if (command != nullptr) {
      for (std::string& flag : FlagsOf(*command)) {
        if (std::find(flags.begin(), flags.end(), flag) == flags.end()) flags.push_back(std::move(flag));
      }
    }
    return UsageError(NotUnderstood("flag", first_flag->substr(0, first_flag->find('=')), flags));
  }
  if (command != nullptr) return UsageError(command->get_name() + " does not take " + Quoted(leftovers.front()));
  std::vector<std::string> commands;
  for (const CLI::App* each : grammar.app.get_subcommands(nullptr)) {
    if (!each->get_group().empty()) commands.push_back(each->get_name());
  }
  return UsageError(NotUnderstood("command", leftovers.front(), commands));
}

// The daemon's flags fall through from every command, and not every command has a use for them.
std::optional<PrintAndExit> FindForeignFlag(const Grammar& grammar, const CLI::App& command,
                                            const std::vector<const CLI::Option*>& allowed) {
  for (const CLI::Option* option : grammar.app.get_options()) {
    if (option->count() == 0 || std::find(allowed.begin(), allowed.end(), option) != allowed.end()) continue;
    return UsageError(option->get_name() + " is a flag of the daemon; " + command.get_name() + " does not take it");
  }
  return std::nullopt;
}

template <typename Choices>
auto ReadChoice(std::string_view flag, const std::string& word, const Choices& choices, std::string& problem) {
  const auto choice = FindChoice(choices, word);
  if (!choice) problem = std::string(flag) + ": " + Quoted(word) + " is unknown; allowed: " + DescribeChoices(choices);
  return choice;
}

// `problem` is left empty when all is well; as it is in what follows.
Overrides ReadOverrides(const Grammar& grammar, std::string& problem) {
  Overrides overrides;
  if (grammar.listen->count() > 0) {
    const auto parsed = ParseListenAddress(grammar.listen_address);
    if (!parsed)
      problem = "--web.listen-address: " + parsed.error().message + "; allowed: " + std::string(kListenAddressNotation);
    overrides.listen_address = grammar.listen_address;
  }
  if (grammar.app.count("--log.level") > 0) {
    overrides.log_level = ReadChoice("--log.level", grammar.log_level, kLogLevels, problem);
  }
  if (grammar.app.count("--log.format") > 0) {
    overrides.log_format = ReadChoice("--log.format", grammar.log_format, kLogFormats, problem);
  }
  return overrides;
}

ConfigFile ReadConfigFile(const Grammar& grammar, std::string& problem) {
  if (grammar.config->count() == 0) return {};
  if (grammar.config_path.empty()) problem = "--config: \"\" is not a file; allowed: a path";
  return {grammar.config_path, true};
}

// ip-netns(8) keeps named namespaces as files in one folder.
std::optional<std::string> ReadNetnsPath(const Grammar& grammar, std::string& problem) {
  if (grammar.app.count("--netns") == 0) return std::nullopt;
  if (grammar.netns.find('/') != std::string::npos) return grammar.netns;
  if (grammar.netns.empty() || grammar.netns == "." || grammar.netns == "..") {
    problem = "--netns: " + Quoted(grammar.netns) + " is not a namespace; allowed: a name under /run/netns, or a path";
  }
  return "/run/netns/" + grammar.netns;
}

Command ReadCheckConfig(const Grammar& grammar) {
  if (auto error = FindForeignFlag(grammar, *grammar.check_config, {grammar.config})) return *std::move(error);
  std::string problem;
  const ConfigFile file = ReadConfigFile(grammar, problem);
  if (!problem.empty()) return UsageError(problem);
  if (grammar.check_config->count("FILE") == 0) return CheckConfigCommand{file.path};
  if (file.is_explicit) return UsageError("check-config takes FILE or --config, not both");
  if (grammar.checked_path.empty()) return UsageError("check-config: \"\" is not a file; allowed: a path");
  return CheckConfigCommand{grammar.checked_path};
}

Command ReadStatus(const Grammar& grammar) {
  if (auto error = FindForeignFlag(grammar, *grammar.status, {grammar.config, grammar.listen}))
    return *std::move(error);
  std::string problem;
  StatusCommand command{ReadConfigFile(grammar, problem), ReadOverrides(grammar, problem), grammar.json};
  if (!problem.empty()) return UsageError(problem);
  return command;
}

Command ReadTop(const Grammar& grammar) {
  if (auto error = FindForeignFlag(grammar, *grammar.top, {grammar.config, grammar.listen})) return *std::move(error);
  std::string problem;
  TopCommand command{ReadConfigFile(grammar, problem), ReadOverrides(grammar, problem), grammar.once};
  if (grammar.top->count("--interval") > 0) {
    const auto interval = ParseDuration(grammar.interval);
    if (!interval || *interval < std::chrono::milliseconds(100) || *interval > std::chrono::hours(1)) {
      problem = "--interval: " + Quoted(grammar.interval) +
                " is not an allowed duration; allowed: " + std::string(kDurationNotation) + ", from 100ms to 1h";
    } else {
      command.interval = *interval;
    }
  }
  if (!problem.empty()) return UsageError(problem);
  return command;
}

constexpr std::chrono::minutes kObserveMax{10};

diagnose::Question ReadQuestion(const Grammar& grammar, std::string& problem) {
  diagnose::Question question;
  const CLI::App& command = *grammar.diagnose;
  if (command.count("--source") > 0) question.source = ReadAddress("--source", grammar.source, problem);
  if (command.count("--destination") > 0)
    question.destination = ReadAddress("--destination", grammar.destination, problem);
  if (command.count("--dport") > 0) {
    const auto port = ReadNumber(grammar.destination_port, 1, 65535);
    if (port) question.destination_port = static_cast<std::uint16_t>(*port);
    if (!port) problem = "--dport: " + Quoted(grammar.destination_port) + " is not a port; allowed: 1 to 65535";
  }
  if (command.count("--protocol") > 0) question.protocol = ReadProtocol(grammar.protocol, problem);
  if (command.count("--observe") > 0) {
    const auto duration = ParseDuration(grammar.observe);
    if (duration && *duration <= kObserveMax) question.observe = *duration;
    if (!duration || *duration > kObserveMax) {
      problem = "--observe: " + Quoted(grammar.observe) +
                " is not an allowed duration; allowed: " + std::string(kDurationNotation) + ", 10m at most";
    }
  }
  if (!problem.empty()) return question;
  if (question.source && question.destination && question.source->family != question.destination->family) {
    problem = "--source and --destination are of different families; allowed: both IPv4, or both IPv6";
  }
  if (question.destination_port && question.protocol && !HasPorts(*question.protocol)) {
    problem =
        "--dport: --protocol " + grammar.protocol + " has no ports; allowed with it: tcp, udp, sctp, dccp, udplite";
  }
  if (question.destination_port && !question.protocol) question.protocol = std::uint8_t{6};
  return question;
}

Command ReadDiagnose(const Grammar& grammar) {
  if (auto error = FindForeignFlag(grammar, *grammar.diagnose, {grammar.config, grammar.listen, grammar.netns_option}))
    return *std::move(error);
  std::string problem;
  DiagnoseCommand command{ReadConfigFile(grammar, problem), ReadOverrides(grammar, problem),
                          ReadNetnsPath(grammar, problem), ReadQuestion(grammar, problem), grammar.json};
  if (!problem.empty()) return UsageError(problem);
  return command;
}

Command ReadCompletion(const Grammar& grammar) {
  if (auto error = FindForeignFlag(grammar, *grammar.completion, {})) return *std::move(error);
  if (grammar.shell == "bash") return PrintAndExit{BashCompletion(grammar.app)};
  if (grammar.shell == "zsh") return PrintAndExit{ZshCompletion(grammar.app)};
  return UsageError("completion: " + Quoted(grammar.shell) + " is unknown; allowed: bash, zsh");
}

Command ReadRun(const Grammar& grammar) {
  std::string problem;
  RunCommand command{ReadConfigFile(grammar, problem), ReadOverrides(grammar, problem), ReadNetnsPath(grammar, problem),
                     std::nullopt};
  if (grammar.state->count() > 0) {
    command.state_directory = grammar.state_directory;
    if (grammar.state_directory.empty()) problem = "--state.directory: \"\" is not a directory; allowed: a path";
  }
  if (!problem.empty()) return UsageError(problem);
  return command;
}

Command ParseWith(Grammar& grammar, std::span<const char* const> arguments) {
  // CLI11 takes them from the back.
  std::vector<std::string> words;
  for (std::size_t i = arguments.size(); i > 1; --i) words.emplace_back(arguments[i - 1]);
  try {
    grammar.app.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    return PrintAndExit{grammar.app.help()};
  } catch (const CLI::CallForVersion& version) {
    return PrintAndExit{version.what()};
  } catch (const CLI::ParseError& error) {
    return UsageError(error.what());
  }
  const auto commands = grammar.app.get_subcommands();
  if (auto error = FindLeftover(grammar, commands.empty() ? nullptr : commands.front())) return *std::move(error);
  if (grammar.check_config->parsed()) return ReadCheckConfig(grammar);
  if (grammar.status->parsed()) return ReadStatus(grammar);
  if (grammar.top->parsed()) return ReadTop(grammar);
  if (grammar.diagnose->parsed()) return ReadDiagnose(grammar);
  if (grammar.completion->parsed()) return ReadCompletion(grammar);
  return ReadRun(grammar);
}

}  // namespace

void Overrides::ApplyTo(Config& config) const {
  if (listen_address) config.web.listen_address = *listen_address;
  if (log_level) config.log.level = *log_level;
  if (log_format) config.log.format = *log_format;
}

Command ParseCommandLine(std::span<const char* const> arguments) {
  Grammar grammar;
  Command command = ParseWith(grammar, arguments);
  auto* said = std::get_if<PrintAndExit>(&command);
  if (said != nullptr && said->exit_code != 0 && grammar.diagnose->parsed()) said->exit_code = 2;
  return command;
}

}  // namespace conntally

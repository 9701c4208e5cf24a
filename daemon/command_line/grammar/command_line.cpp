#include "daemon/command_line/grammar/command_line.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>
#include <vector>

#include "collectors/tally/protocol_names.h"
#include "config/log_words.h"
#include "config/notation/address_notation.h"
#include "config/notation/nearest.h"
#include "config/notation/notation.h"
#include "daemon/command_line/grammar/completion.h"
#include "daemon/command_line/grammar/flag_values.h"
#include "daemon/command_line/grammar/grammar.h"

namespace conntally {
namespace {

PrintAndExit UsageError(const std::string& message) {
  return {"conntally: " + message + "\nTry `conntally --help`.\n", PrintAndExit::Stream::kError, 1};
}

std::vector<std::string> FlagNamesOf(const CLI::App& app) {
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
  // CLI11 also returns the "--" that ends the flags.
  std::erase(leftovers, "--");
  if (leftovers.empty()) return std::nullopt;
  const auto first_flag =
      std::find_if(leftovers.begin(), leftovers.end(), [](const std::string& word) { return word.starts_with('-'); });
  if (first_flag != leftovers.end()) {
    std::vector<std::string> flags = FlagNamesOf(grammar.app);
    if (command != nullptr) {
      for (std::string& flag : FlagNamesOf(*command)) {
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

// The daemon's flags are accepted after every command, but not every command uses them.
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

// `problem` stays empty on success, here and below.
Overrides ReadOverrides(const Grammar& grammar, std::string& problem) {
  Overrides overrides;
  if (grammar.listen->count() > 0) {
    for (const std::string& address : grammar.listen_addresses) {
      if (const auto parsed = ParseListenAddress(address); !parsed) {
        problem =
            "--web.listen-address: " + parsed.error().message + "; allowed: " + std::string(kListenAddressNotation);
      }
      if (std::ranges::count(grammar.listen_addresses, address) > 1)
        problem = "--web.listen-address: " + Quoted(address) + " is given twice";
    }
    overrides.listen_addresses = grammar.listen_addresses;
  }
  if (grammar.web_config->count() > 0) overrides.web_config_file = grammar.web_config_file;
  if (grammar.app.count("--log.level") > 0) {
    overrides.log_level = ReadChoice("--log.level", grammar.log_level, kLogLevels, problem);
  }
  if (grammar.app.count("--log.format") > 0) {
    overrides.log_format = ReadChoice("--log.format", grammar.log_format, kLogFormats, problem);
  }
  return overrides;
}

PeerFlags ReadPeer(const Grammar& grammar, const CLI::App& command, std::string& problem) {
  PeerFlags flags;
  if (command.count("--http.config.file") > 0) flags.client_config_path = grammar.client_config_file;
  if (command.count("--url") == 0) return flags;
  if (const auto wrong = FindUrlProblem(grammar.url)) {
    problem = "--url: " + *wrong + "; allowed: " + std::string(kUrlNotation);
  }
  flags.url = grammar.url;
  return flags;
}

ConfigFile ReadConfigFile(const Grammar& grammar, std::string& problem) {
  if (grammar.config->count() == 0) return {};
  if (grammar.config_path.empty()) problem = "--config: \"\" is not a file; allowed: a path";
  return {grammar.config_path, true};
}

// ip-netns(8) keeps named namespaces as files in one directory.
std::optional<std::string> ReadNetnsPath(const Grammar& grammar, std::string& problem) {
  if (grammar.app.count("--netns") == 0) return std::nullopt;
  if (grammar.netns.find('/') != std::string::npos) return grammar.netns;
  if (grammar.netns.empty() || grammar.netns == "." || grammar.netns == "..") {
    problem = "--netns: " + Quoted(grammar.netns) + " is not a namespace; allowed: a name under /run/netns, or a path";
  }
  return "/run/netns/" + grammar.netns;
}

Command ReadCheckConfig(const Grammar& grammar) {
  if (auto error = FindForeignFlag(grammar, *grammar.check_config, {grammar.config, grammar.web_config}))
    return *std::move(error);
  std::string problem;
  const ConfigFile file = ReadConfigFile(grammar, problem);
  if (!problem.empty()) return UsageError(problem);
  std::optional<std::string> web_config;
  if (grammar.web_config->count() > 0) web_config = grammar.web_config_file;
  if (grammar.check_config->count("FILE") == 0) return CheckConfigCommand{file, web_config};
  if (file.is_explicit) return UsageError("check-config takes FILE or --config, not both");
  if (grammar.checked_path.empty()) return UsageError("check-config: \"\" is not a file; allowed: a path");
  return CheckConfigCommand{{grammar.checked_path, true}, web_config};
}

Command ReadStatus(const Grammar& grammar) {
  if (auto error = FindForeignFlag(grammar, *grammar.status, {grammar.config, grammar.listen, grammar.web_config}))
    return *std::move(error);
  std::string problem;
  StatusCommand command{ReadConfigFile(grammar, problem), ReadOverrides(grammar, problem),
                        ReadPeer(grammar, *grammar.status, problem), grammar.json};
  if (!problem.empty()) return UsageError(problem);
  return command;
}

Command ReadTop(const Grammar& grammar) {
  if (auto error = FindForeignFlag(grammar, *grammar.top, {grammar.config, grammar.listen, grammar.web_config}))
    return *std::move(error);
  std::string problem;
  TopCommand command{ReadConfigFile(grammar, problem), ReadOverrides(grammar, problem),
                     ReadPeer(grammar, *grammar.top, problem), grammar.once};
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
  if (auto error = FindForeignFlag(grammar, *grammar.diagnose,
                                   {grammar.config, grammar.listen, grammar.web_config, grammar.netns_option}))
    return *std::move(error);
  std::string problem;
  DiagnoseCommand command{
      ReadConfigFile(grammar, problem), ReadOverrides(grammar, problem), ReadPeer(grammar, *grammar.diagnose, problem),
      ReadNetnsPath(grammar, problem),  ReadQuestion(grammar, problem),  grammar.json};
  if (!problem.empty()) return UsageError(problem);
  return command;
}

Command ReadCompletion(const Grammar& grammar) {
  if (auto error = FindForeignFlag(grammar, *grammar.completion, {})) return *std::move(error);
  if (grammar.shell == "bash") return PrintAndExit{BashCompletion(grammar.app)};
  if (grammar.shell == "zsh") return PrintAndExit{ZshCompletion(grammar.app)};
  return UsageError(
      "completion: " + (grammar.shell.empty() ? "which shell's?" : Quoted(grammar.shell) + " is unknown;") +
      " allowed: bash, zsh");
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
  // CLI11 takes them in reverse order.
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
  if (listen_addresses) config.web.listen_addresses = *listen_addresses;
  if (web_config_file) config.web.config_file = *web_config_file;
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

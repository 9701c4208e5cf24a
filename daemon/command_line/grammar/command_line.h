// conntally's command line as a value. Pure; any thread.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "config/config.h"
#include "daemon/command_line/client/ask_daemon.h"
#include "daemon/command_line/grammar/question.h"

namespace conntally {

inline constexpr const char* kDefaultConfigPath = "/etc/conntally/conntally.yaml";

struct ConfigFile {
  std::string path = kDefaultConfigPath;
  bool is_explicit = false;  // asked for, so that its absence is an error
};

// Flags that take the place of what the file says, at the start and at each reload.
struct Overrides {
  std::optional<std::vector<std::string>> listen_addresses;
  std::optional<std::string> web_config_file;
  std::optional<Config::LogLevel> log_level;
  std::optional<Config::LogFormat> log_format;

  void ApplyTo(Config& config) const;
};

struct RunCommand {
  ConfigFile config_file;
  Overrides overrides;
  std::optional<std::string> netns_path;       // "/run/netns/NAME" for a NAME; absent for our own namespace
  std::optional<std::string> state_directory;  // absent: the one that systemd names, if it does
};

struct CheckConfigCommand {
  ConfigFile config_file;
  std::optional<std::string> web_config_file;  // absent: the one that the file names, if it does
};

// Asks the daemon that the file, the overrides and the flags tell of.
struct StatusCommand {
  ConfigFile config_file;
  Overrides overrides;
  PeerFlags peer;
  bool json = false;
};

// Likewise.
struct TopCommand {
  ConfigFile config_file;
  Overrides overrides;
  PeerFlags peer;
  bool once = false;
  std::chrono::milliseconds interval{2000};  // 100 ms or more
};

// Looks into a refused or lost connection. The daemon that these tell of is asked, too, if it answers.
struct DiagnoseCommand {
  ConfigFile config_file;
  Overrides overrides;
  PeerFlags peer;
  std::optional<std::string> netns_path;
  diagnose::Question question;
  bool json = false;
};

// Nothing to do but to say something: help, the version, or what is wrong with the command line.
struct PrintAndExit {
  enum class Stream { kOutput, kError };

  std::string text;  // with its last newline
  Stream stream = Stream::kOutput;
  int exit_code = 0;
};

using Command = std::variant<RunCommand, CheckConfigCommand, StatusCommand, TopCommand, DiagnoseCommand, PrintAndExit>;

// `arguments` is main()'s argv, the program's name first. A usage error has exit code 1 (of `diagnose`, where
// 1 means a finding, 2), and names the nearest flag or command to one that it does not know.
Command ParseCommandLine(std::span<const char* const> arguments);

}  // namespace conntally

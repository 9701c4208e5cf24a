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
  bool is_explicit = false;  // given by a flag, so a missing file is an error
};

// Flags that override the file, at start and at each reload.
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
  std::optional<std::string> netns_path;       // "/run/netns/NAME" for a NAME; absent: the daemon's own namespace
  std::optional<std::string> state_directory;  // absent: the one that systemd gives, if any
};

struct CheckConfigCommand {
  ConfigFile config_file;
  std::optional<std::string> web_config_file;  // absent: the one that the file names, if any
};

// Asks the daemon that the file, the overrides and the flags name.
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

// Examines a refused or lost connection. Also asks the daemon that these name, if it answers.
struct DiagnoseCommand {
  ConfigFile config_file;
  Overrides overrides;
  PeerFlags peer;
  std::optional<std::string> netns_path;
  diagnose::Question question;
  bool json = false;
};

// Only prints: help, the version, or what is wrong with the command line.
struct PrintAndExit {
  enum class Stream { kOutput, kError };

  std::string text;  // ends with a newline
  Stream stream = Stream::kOutput;
  int exit_code = 0;
};

using Command = std::variant<RunCommand, CheckConfigCommand, StatusCommand, TopCommand, DiagnoseCommand, PrintAndExit>;

// `arguments` is main()'s argv, the program's name first. A usage error has exit code 1 (2 for `diagnose`, where 1
// means a finding). For an unknown flag or command, it suggests the nearest one.
Command ParseCommandLine(std::span<const char* const> arguments);

}  // namespace conntally

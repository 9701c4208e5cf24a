// The values that CLI11 fills in. The names of flags and commands are defined only here. One thread.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace conntally {

struct Grammar {
  Grammar();

  CLI::App app{"Exact per-source conntrack tallies for Prometheus. Without a command: the daemon, in the foreground."};
  std::string config_path;
  std::vector<std::string> listen_addresses;
  std::string web_config_file;
  std::string log_level;
  std::string log_format;
  std::string netns;
  std::string state_directory;
  std::string checked_path;
  std::string url;
  std::string client_config_file;
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
  CLI::Option* web_config = nullptr;
  CLI::Option* netns_option = nullptr;
  CLI::Option* state = nullptr;
  CLI::App* check_config = nullptr;
  CLI::App* status = nullptr;
  CLI::App* top = nullptr;
  CLI::App* diagnose = nullptr;
  CLI::App* completion = nullptr;

 private:
  void AddDiagnose();
  void AddPeer(CLI::App& command);
};

}  // namespace conntally

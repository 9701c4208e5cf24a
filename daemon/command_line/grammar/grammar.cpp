#include "daemon/command_line/grammar/grammar.h"

#include "config/log_words.h"
#include "config/notation/notation.h"
#include "daemon/command_line/grammar/command_line.h"
#include "daemon/process/build_info.h"

namespace conntally {

Grammar::Grammar() {
  app.name("conntally");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_version_flag("--version", VersionText(), "Print the version and exit");
  config = app.add_option("--config", config_path,
                          "Configuration file [" + std::string(kDefaultConfigPath) + " if it exists]");
  config->type_name("FILE");
  listen = app.add_option("--web.listen-address", listen_addresses,
                          "Where to serve metrics, the page and the API; may be given again");
  listen->type_name("HOST:PORT")->allow_extra_args(false);
  web_config = app.add_option("--web.config.file", web_config_file,
                              "TLS and passwords: the web configuration file of Prometheus' exporters [none]");
  web_config->type_name("FILE");
  app.add_option("--log.level", log_level, "Least severe messages to log: " + DescribeChoices(kLogLevels))
      ->type_name("LEVEL");
  app.add_option("--log.format", log_format, "How to write log lines: " + DescribeChoices(kLogFormats))
      ->type_name("FORMAT");
  netns_option = app.add_option("--netns", netns, "Network namespace to watch: a name of `ip netns list`, or a path");
  netns_option->type_name("NAME-or-PATH");
  state = app.add_option("--state.directory", state_directory,
                         "Directory that keeps alerts and baselines across restarts [$STATE_DIRECTORY, else none]");
  state->type_name("DIR");

  check_config = app.add_subcommand("check-config", "Check a configuration file: print `OK` or every fault");
  check_config->add_option("FILE", checked_path, "The file [" + std::string(kDefaultConfigPath) + "]")->type_name("");
  status = app.add_subcommand("status", "Show the state of a running daemon");
  status->add_flag("--json", json, "As JSON");
  AddPeer(*status);

  top = app.add_subcommand("top", "Watch sources, rules and the table live in the terminal");
  top->add_flag("--once", once, "Print one frame as plain text, for example into a pipe");
  top->add_option("--interval", interval, "Time between two updates [2s]")->type_name("DURATION");
  AddPeer(*top);
  AddDiagnose();
  completion = app.add_subcommand("completion", "Print the completion script of a shell: bash or zsh");
  completion->add_option("SHELL", shell)->type_name("");

  // The flags above may also follow a command; we explain leftover words ourselves.
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
  AddPeer(*diagnose);
  diagnose->footer(
      "Exit code: 0 if it found nothing, 1 if it found something, 2 if it could not look.\n"
      "Also takes --netns; and --config, --web.listen-address and --web.config.file, to find and ask a running "
      "daemon.");
}

void Grammar::AddPeer(CLI::App& command) {
  command.add_option("--url", url, "The daemon to ask [the listen address of the configuration]")->type_name("URL");
  command
      .add_option("--http.config.file", client_config_file,
                  "Password, CA and certificate for it: basic_auth and tls_config, as in promtool's file")
      ->type_name("FILE");
  command.footer("Also takes --config, --web.listen-address and --web.config.file, to find the daemon.");
}

}  // namespace conntally

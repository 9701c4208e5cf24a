#include <iostream>
#include <span>
#include <variant>

#include "daemon/command_line/check_config.h"
#include "daemon/command_line/command_line.h"
#include "daemon/command_line/status.h"
#include "daemon/daemon.h"
#include "daemon/diagnose/diagnose.h"
#include "daemon/top/top.h"

namespace {

struct Execute {
  int operator()(const conntally::RunCommand& command) const { return conntally::RunDaemon(command); }
  int operator()(const conntally::CheckConfigCommand& command) const {
    return conntally::CheckConfig(command.path, std::cout, std::cerr);
  }
  int operator()(const conntally::StatusCommand& command) const {
    return conntally::ShowStatus(command, std::cout, std::cerr);
  }
  int operator()(const conntally::TopCommand& command) const { return conntally::ShowTop(command, std::cout, std::cerr); }
  int operator()(const conntally::DiagnoseCommand& command) const {
    return conntally::diagnose::Diagnose(command, std::cout, std::cerr);
  }
  int operator()(const conntally::PrintAndExit& command) const {
    (command.stream == conntally::PrintAndExit::Stream::kOutput ? std::cout : std::cerr) << command.text;
    return command.exit_code;
  }
};

}  // namespace

int main(int argc, char** argv) {
  return std::visit(Execute{}, conntally::ParseCommandLine(std::span(argv, static_cast<std::size_t>(argc))));
}

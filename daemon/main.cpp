#include <fcntl.h>
#include <unistd.h>

#include <iostream>
#include <span>
#include <string_view>
#include <variant>

#include "collectors/system/shown_text.h"
#include "collectors/system/threads/worker_thread.h"
#include "daemon/command_line/check_config.h"
#include "daemon/command_line/grammar/command_line.h"
#include "daemon/command_line/pin_events.h"
#include "daemon/command_line/status.h"
#include "daemon/daemon.h"
#include "daemon/diagnose/diagnose.h"
#include "daemon/top/top.h"

namespace {

struct Execute {
  int operator()(const conntally::RunCommand& command) const { return conntally::RunDaemon(command); }
  int operator()(const conntally::CheckConfigCommand& command) const {
    return conntally::CheckConfig(command, std::cout, std::cerr);
  }
  int operator()(const conntally::StatusCommand& command) const {
    return conntally::ShowStatus(command, std::cout, std::cerr);
  }
  int operator()(const conntally::TopCommand& command) const {
    return conntally::ShowTop(command, std::cout, std::cerr);
  }
  int operator()(const conntally::DiagnoseCommand& command) const {
    return conntally::diagnose::Diagnose(command, std::cout, std::cerr);
  }
  int operator()(const conntally::PrintAndExit& command) const {
    (command.stream == conntally::PrintAndExit::Stream::kOutput ? std::cout : std::cerr) << command.text;
    return command.exit_code;
  }
};

// Otherwise the first opened files would get these numbers, and standard error would be written to them.
void KeepStandardDescriptorsOpen() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) < 0) static_cast<void>(open("/dev/null", O_RDWR));  // takes the lowest free number
  }
}

}  // namespace

int main(int argc, char** argv) {
  KeepStandardDescriptorsOpen();
  const conntally::ShownStream output(std::cout), errors(std::cerr);
  int exit_code = 2;  // of diagnose: could not examine
  const auto done = conntally::Caught([&] {
    const std::span<const char* const> arguments(argv, static_cast<std::size_t>(argc));
    if (argc > 1 && std::string_view(argv[1]) == conntally::kPinEventsCommand) {
      exit_code = conntally::PinOrUnpinEvents(arguments, std::cerr);
      return;
    }
    const auto command = conntally::ParseCommandLine(arguments);
    if (!std::holds_alternative<conntally::DiagnoseCommand>(command)) exit_code = 1;
    const int not_done = exit_code;
    exit_code = std::visit(Execute{}, command);
    // A truncated output must not look like success.
    if (!std::cout.flush()) {
      std::cerr << "conntally: the output could not be written: the disk is full, or its reader is gone\n";
      exit_code = not_done;
    }
  });
  if (!done) std::cerr << "conntally: " << done.error().message << '\n';
  return exit_code;
}

#include "daemon/diagnose/fixes/namespace_commands.h"

#include <string_view>

#include "daemon/diagnose/fixes/firewall_commands.h"

namespace conntally::diagnose {
namespace {

// Whether it is one program with arguments, without shell syntax except single quotes.
bool IsPlainCommand(std::string_view command) {
  bool quoted = false;
  for (const char c : command) {
    if (c == '\'') {
      quoted = !quoted;
    } else if (!quoted) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                         std::string_view(" ._:/,@=+%-").find(c) != std::string_view::npos;
      if (!plain) return false;
    }
  }
  return !quoted;
}

}  // namespace

std::string InNamespace(const std::string& path, const std::string& command) {
  const std::string enter = "nsenter " + ShellWord("--net=" + path) + " -- ";
  return enter + (IsPlainCommand(command) ? command : "sh -c " + ShellWord(command));
}

void RunInNamespace(const std::string& path, Report& report) {
  for (Finding& finding : report.findings) {
    for (Fix& fix : finding.fix) {
      if (fix.run_on == RunOn::kHost) continue;
      // A comment is not run.
      if (!fix.command.starts_with('#')) fix.command = InNamespace(path, fix.command);
      if (!fix.undo.empty() && !fix.undo.starts_with('#')) fix.undo = InNamespace(path, fix.undo);
      if (!fix.persist.empty()) fix.persist = "where the namespace " + path + " is made: " + fix.persist;
    }
  }
}

}  // namespace conntally::diagnose

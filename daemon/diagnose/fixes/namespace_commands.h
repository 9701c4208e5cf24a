// Adapts a report's commands for a reader outside the examined network namespace (--netns). Pure; any thread.
#pragma once

#include <string>

#include "daemon/diagnose/report/finding.h"

namespace conntally::diagnose {

// "nsenter --net=PATH -- COMMAND", with a shell if the command needs one.
std::string InNamespace(const std::string& path, const std::string& command);

// Wraps every command and undo of the report, except those that are for the host itself.
void RunInNamespace(const std::string& path, Report& report);

}  // namespace conntally::diagnose

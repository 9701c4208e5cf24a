// A report's commands for a reader who is not in the network namespace that was looked at (--netns). Pure; any thread.
#pragma once

#include <string>

#include "daemon/diagnose/report/finding.h"

namespace conntally::diagnose {

// "nsenter --net=PATH -- COMMAND", by way of a shell where the command needs one.
std::string InNamespace(const std::string& path, const std::string& command);

// Every command and undo of the report, as it is run from outside; but for those that the host itself is meant to run.
void RunInNamespace(const std::string& path, Report& report);

}  // namespace conntally::diagnose

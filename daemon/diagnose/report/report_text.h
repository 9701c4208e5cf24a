// A report as text and as JSON. Pure; any thread.
#pragma once

#include <string>

#include "daemon/command_line/grammar/question.h"
#include "daemon/diagnose/report/finding.h"

namespace conntally::diagnose {

// "192.0.2.7 to 198.51.100.2, tcp port 443"; "this host" if the question narrows nothing.
std::string Describe(const Question& question);

std::string TextOf(const Report& report, const Question& question);

// The findings in their order.
std::string JsonOf(const Report& report);

}  // namespace conntally::diagnose

// The words for the log's level and format, in the configuration and on the command line. Constants; any thread.
#pragma once

#include <array>

#include "config/config.h"
#include "config/notation/notation.h"

namespace conntally {

inline constexpr std::array kLogLevels = {
    Choice<Config::LogLevel>{"debug", Config::LogLevel::kDebug},
    Choice<Config::LogLevel>{"info", Config::LogLevel::kInfo},
    Choice<Config::LogLevel>{"warning", Config::LogLevel::kWarning},
    Choice<Config::LogLevel>{"warn", Config::LogLevel::kWarning, true},
    Choice<Config::LogLevel>{"error", Config::LogLevel::kError},
};
inline constexpr std::array kLogFormats = {
    Choice<Config::LogFormat>{"text", Config::LogFormat::kText},
    Choice<Config::LogFormat>{"json", Config::LogFormat::kJson},
};

}  // namespace conntally

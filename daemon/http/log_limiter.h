// Lets one log line through per interval and counts the others, so that a client cannot fill the log.
// One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

namespace conntally::http {

class LogLimiter {
 public:
  explicit LogLimiter(std::chrono::milliseconds interval) : interval_(interval) {}

  // The number of lines kept back since the last one, if this one may be written.
  std::optional<std::uint64_t> Admit(std::chrono::steady_clock::time_point now) {
    if (last_ && now - *last_ < interval_) {
      ++kept_back_;
      return std::nullopt;
    }
    last_ = now;
    return std::exchange(kept_back_, 0);
  }

 private:
  const std::chrono::milliseconds interval_;
  std::optional<std::chrono::steady_clock::time_point> last_;
  std::uint64_t kept_back_ = 0;
};

}  // namespace conntally::http

// A token bucket: `burst` requests at once, and one more every `interval`. One thread; time is a parameter.
#pragma once

#include <algorithm>
#include <chrono>

#include "config/web/web_config.h"

namespace conntally::http {

class RateLimiter {
 public:
  // If the limit changed since the last call, the bucket is full again.
  bool Allow(const WebConfig::RateLimit& limit, std::chrono::steady_clock::time_point now) {
    if (limit.interval.count() == 0) return true;
    if (limit.interval != limit_.interval || limit.burst != limit_.burst) {
      limit_ = limit;
      tokens_ = limit.burst;
      filled_ = now;
    }
    const std::chrono::duration<double, std::nano> passed = now - filled_;
    tokens_ = std::min<double>(limit.burst, tokens_ + passed / limit.interval);
    filled_ = now;
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

 private:
  WebConfig::RateLimit limit_;
  double tokens_ = 0;
  std::chrono::steady_clock::time_point filled_{};
};

}  // namespace conntally::http

// What of the rules other checks need to know: where the asked traffic goes. Plain values.
#pragma once

#include <cstdint>
#include <optional>

namespace conntally::diagnose {

struct RuleOutcome {
  bool destination_translated = false;         // rules send the asked traffic to another address or port, or may
  bool sent_elsewhere = false;                 // and that is not this host
  std::optional<std::uint16_t> redirected_to;  // it is this port of this host
};

}  // namespace conntally::diagnose

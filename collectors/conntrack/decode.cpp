#include "collectors/conntrack/decode.h"

namespace conntally {

DecodeOutcome DecodeFlow(std::span<const std::byte>, FlowEvent&) { return DecodeOutcome::kMalformed; }

}  // namespace conntally

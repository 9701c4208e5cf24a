#include "collectors/host/packets/stream_ledger.h"

namespace conntally {
namespace {

constexpr std::chrono::milliseconds kAnswerMost{500};

}  // namespace

void StreamLedger::Take(const Segment& segment, bool leaving, std::uint32_t link, std::chrono::microseconds when) {
  if (!segment.requests) {
    requested_.erase(segment.ends);
  } else if (requested_.size() < kStreamsMax) {
    requested_.insert(segment.ends);
  } else {
    ++left_out_;
  }
  const auto other = streams_.find(segment.ends.Reversed());
  if (segment.begins_or_ends) {
    streams_.erase(segment.ends);
    if (other != streams_.end()) streams_.erase(other);
    return;
  }
  if (other != streams_.end() && other->second && segment.acknowledges) {
    const auto beyond = static_cast<std::int32_t>(segment.acknowledged - other->second->sequence);
    if (beyond > 0) other->second.reset();
  }
  if (segment.payload_bytes == 0) return;
  const auto found = streams_.find(segment.ends);
  if (found == streams_.end() && streams_.size() >= kStreamsMax) {
    ++left_out_;
    return;
  }
  std::optional<Waiting>& waiting = found != streams_.end() ? found->second : streams_[segment.ends];
  if (!waiting) {
    waiting = Waiting{segment.sequence, link, {}};
    waiting->stalled.ends = segment.ends;
    waiting->stalled.first = when;
    (leaving ? waiting->stalled.out_link : waiting->stalled.in_link) = link;
    waiting->stalled.times = 1;
    return;
  }
  if (segment.sequence != waiting->sequence) return;
  // A packet that is forwarded, or comes by a bridge's port, is seen twice: it counts where it was first seen.
  StalledStream& stalled = waiting->stalled;
  if (leaving && stalled.in_link != 0) {
    stalled.out_link = link;
  } else {
    stalled.times += link == waiting->link;
  }
}

void StreamLedger::Take(const TooLong& said, bool leaving, std::uint32_t link) {
  const auto key = std::pair(said.ends, said.said_by);
  auto found = too_long_.find(key);
  if (found == too_long_.end()) {
    if (too_long_.size() >= kTooLongMax) return void(++left_out_);
    found = too_long_.emplace(key, said).first;
  }
  (leaving ? found->second.out_link : found->second.in_link) = link;
  if (!leaving || found->second.in_link == 0) ++found->second.times;
}

std::vector<StalledStream> StreamLedger::Stalled(std::chrono::microseconds now) const {
  std::vector<StalledStream> all;
  for (const auto& [ends, waiting] : streams_) {
    if (waiting && (waiting->stalled.times >= 2 || now - waiting->stalled.first >= kAnswerMost))
      all.push_back(waiting->stalled);
  }
  return all;
}

std::vector<TooLong> StreamLedger::too_long() const {
  std::vector<TooLong> all;
  for (const auto& [key, said] : too_long_) all.push_back(said);
  return all;
}

}  // namespace conntally

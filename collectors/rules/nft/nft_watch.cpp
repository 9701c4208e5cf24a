#include "collectors/rules/nft/nft_watch.h"

#include <linux/netfilter/nfnetlink.h>
#include <poll.h>

#include "collectors/netlink/messages.h"

namespace conntally {

using namespace std::chrono_literals;

void NftWatch::Open() {
  if (socket_) return;
  auto opened = NetlinkSocket::Open();
  if (!opened || !opened->SetReceiveBuffer(kReceiveBufferBytes) || !opened->IgnoreOverruns() ||
      !opened->Join(NFNLGRP_NFTABLES))
    return;
  socket_ = std::move(*opened);
}

void NftWatch::Begin(std::shared_ptr<const Ruleset> ruleset, std::uint32_t generation) {
  if (socket_) changes_.Begin(std::move(ruleset), generation);
}

void NftWatch::Follow() {
  for (unsigned i = 0; socket_ && i < kDatagramsAtOnce && Receive(0ms, std::nullopt); ++i) {
  }
  NoteLosses();
}

// The kernel reports a generation at the end of its commit, so it may come some milliseconds late.
void NftWatch::CatchUp(std::uint32_t generation) {
  constexpr auto kPatience = 200ms;
  if (!socket_ || !changes_.listens()) return;
  while (static_cast<std::int32_t>(changes_.generation() - generation) < 0) {
    NoteLosses();
    if (Receive(changes_.lost() ? 0ms : kPatience, generation)) continue;
    changes_.NoteLoss();
    break;
  }
  NoteLosses();
}

// Receives one datagram. False: there is none.
bool NftWatch::Receive(std::chrono::milliseconds patience, std::optional<std::uint32_t> until) {
  pollfd ready{socket_->fd(), POLLIN, 0};
  if (poll(&ready, 1, static_cast<int>(patience.count())) != 1) return false;
  const auto datagram = socket_->Receive(buffer_);
  if (!datagram) {
    ++lost_;
    changes_.NoteLoss();
    return true;
  }
  MessageWalk walk(*datagram);
  for (Bytes message; walk.Next(message);) changes_.Note(message, until);
  return true;
}

void NftWatch::NoteLosses() {
  const auto drops = socket_ ? socket_->Drops() : Result<std::uint32_t>(drops_seen_);
  if (!drops || *drops == drops_seen_) return;
  lost_ += *drops - drops_seen_;
  drops_seen_ = *drops;
  changes_.NoteLoss();
}

}  // namespace conntally

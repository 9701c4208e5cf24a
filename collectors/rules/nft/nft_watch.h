// The subscription to nftables' notifications, which NftChanges makes sense of.
//
// Bounded: what finds no room in the socket's buffer is lost, counted, and NftChanges knows it. A ruleset of 10,000
// rules that is loaded anew comes as some 2,000 datagrams of 3.7 KB; taking them up costs about 10 ms of CPU.
//
// Threads: one owner, which has entered the network namespace to be watched.
//
// Source: linux/netfilter/nfnetlink.h; net/netfilter/nf_tables_api.c (nf_tables_commit_notify).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "collectors/netlink/query.h"
#include "collectors/netlink/socket.h"
#include "collectors/rules/nft/nft_changes.h"

namespace conntally {

class NftWatch {
 public:
  static constexpr std::uint32_t kReceiveBufferBytes = 16U << 20U;
  static constexpr unsigned kDatagramsAtOnce = 8'192;  // of which one Follow takes no more

  // Where it cannot be had there is none: what rules counted after a reading is then lost with them. Tried again with
  // each call.
  void Open();

  // Takes up what the kernel told since, without waiting. Everything then is of no later generation than one that is
  // asked for after it.
  void Follow();

  // Up to the generation that was just read, which the kernel may be about to tell, and no further.
  void CatchUp(std::uint32_t generation);

  void Begin(std::shared_ptr<const Ruleset> ruleset, std::uint32_t generation);
  NftChanges& changes() { return changes_; }

  // Since the beginning: datagrams, and rules that a bound turned away.
  std::uint64_t lost() const { return lost_ + changes_.turned_away(); }

 private:
  bool Receive(std::chrono::milliseconds patience, std::optional<std::uint32_t> until);
  void NoteLosses();

  std::optional<NetlinkSocket> socket_;
  NftChanges changes_;
  ReplyBuffer buffer_;
  std::uint32_t drops_seen_ = 0;
  std::uint64_t lost_ = 0;
};

}  // namespace conntally

// The subscription to nftables' notifications, which NftChanges interprets.
//
// Bounded: notifications without room in the socket's buffer are lost and counted, and NftChanges is told. Loading a
// ruleset of 10,000 rules again sends some 2,000 datagrams of 3.7 KB; processing them takes about 10 ms of CPU.
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
  static constexpr unsigned kDatagramsAtOnce = 8'192;  // at most in one Follow

  // If the subscription fails, there is none: then counts since the last reading are lost with deleted rules. Each call
  // tries again.
  void Open();

  // Processes the kernel's notifications, without waiting. They are of no later generation than one that is read
  // afterwards.
  void Follow();
  // Readable when there are some. Negative: there is no subscription.
  int fd() const { return socket_ ? socket_->fd() : -1; }

  // Processes notifications up to the generation just read, which the kernel may still be sending, but no later ones.
  void CatchUp(std::uint32_t generation);

  void Begin(std::shared_ptr<const Ruleset> ruleset, std::uint32_t generation);
  NftChanges& changes() { return changes_; }

  // Since the start: lost datagrams, and rules that a bound turned away.
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

// Writes conntrack entries through ctnetlink, many messages to a send(). One thread per Writer.
//
// The kernel works through a whole send() before it returns, and answers only what it refuses: so what it
// accepted is exactly what was sent less the errors read after it. Nothing here is asked to be
// acknowledged, which halves the cost.
//
// Source: net/netfilter/nf_conntrack_netlink.c (ctnetlink_new_conntrack, ctnetlink_del_conntrack).
#pragma once

#include <libmnl/libmnl.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "test/support/ct_load_tuple.h"

namespace conntally::ct_load {

enum class Verb : std::uint8_t { kCreate, kUpdate, kDelete };
inline constexpr std::size_t kVerbs = 3;

struct EntryOptions {
  std::uint32_t timeout_seconds = 600;
  std::uint8_t tcp_state = 3;  // enum tcp_conntrack: established
};

class Writer {
 public:
  // Throws std::system_error when there is no socket to be had.
  explicit Writer(EntryOptions options);
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Queues one message, sending what is queued when the batch is full.
  void Put(Verb verb, const Connection& connection);
  // Sends what is queued and counts the kernel's refusals.
  void Flush();

  std::uint64_t sent(Verb verb) const { return sent_[static_cast<std::size_t>(verb)]; }
  std::uint64_t accepted(Verb verb) const { return sent(verb) - refused_[static_cast<std::size_t>(verb)]; }
  const std::map<int, std::uint64_t>& refusals() const { return refusals_; }  // by errno

 private:
  struct CloseSocket {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };

  void CountRefusals();

  EntryOptions options_;
  std::unique_ptr<mnl_socket, CloseSocket> socket_;
  std::vector<char> batch_;
  std::size_t batch_bytes_ = 0;
  std::uint32_t sequence_ = 0;
  std::array<std::uint64_t, kVerbs> sent_{};
  std::array<std::uint64_t, kVerbs> refused_{};
  std::map<int, std::uint64_t> refusals_;
};

}  // namespace conntally::ct_load

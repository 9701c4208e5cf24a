// FlowTable: every live connection once, keyed by its whole original tuple and zone. Open addressing with
// linear probing in 64 partitions, each growing by itself, so that no insertion pays for moving the
// whole table. A slot is 32 B (IPv4) or 56 B (IPv6); at the load it keeps, 53-80 % after growing, that is 40 to 60 B a
// connection over IPv4 (70 to 105 B over IPv6), measured by memory_bytes().
//
// Threads: one owner.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "collectors/addresses/keyed_hash.h"
#include "collectors/conntrack/decode/flow_event.h"
#include "collectors/tally/source_table.h"

namespace conntally {

using FlowHash = std::uint64_t;

// What is kept of a live connection besides its addresses and ports.
struct Flow {
  SourceRow source = kNoSourceRow;
  std::uint32_t id = 0;                  // CTA_ID; 0: not known
  std::int32_t opened_centiseconds = 0;  // on the tracker's clock
  std::uint16_t zone = 0;
  std::uint8_t protocol = 0;
  std::uint8_t tcp_state : 4 = 0;
  bool replied : 1 = false;
  bool opening_known : 1 = false;  // opened_centiseconds is when it opened
  bool unconfirmed : 1 = false;    // known only from the dump under way
  bool generation : 1 = false;     // of the last dump, or event since its start, that showed it
};
static_assert(sizeof(Flow) == 16);

class FlowTable {
 public:
  FlowTable(std::size_t connections_max, KeyedHash hash);

  FlowHash Hash(const FlowKey& key) const;
  void Prefetch(const FlowKey& key, FlowHash hash) const;

  // nullptr when absent. Pointers hold until the next Insert or Erase.
  Flow* Find(const FlowKey& key, FlowHash hash);
  const Flow* Find(const FlowKey& key, FlowHash hash) const { return const_cast<FlowTable*>(this)->Find(key, hash); }
  // `key` must be absent. nullptr when connections_max are in.
  Flow* Insert(const FlowKey& key, FlowHash hash);
  // `flow` is of this table, and `hash` and `family` are its key's.
  void Erase(Flow& flow, Family family, FlowHash hash);

  // Visits the flows of partition 0 .. kPartitions - 1 and erases those for which `erase` says so.
  static constexpr std::size_t kPartitions = 64;
  void Sweep(std::size_t partition, const std::function<bool(const FlowKey&, Flow&)>& erase);
  // Which partition a flow is in.
  static std::size_t PartitionOf(FlowHash hash) { return hash >> 58; }

  // Visits the flows of a partition with their keys, to change what is kept of them besides.
  void Revise(std::size_t partition, const std::function<void(const FlowKey&, Flow&)>& revise);

  // Visits the flows of a partition with their keys.
  void Visit(std::size_t partition, const std::function<void(const FlowKey&, const Flow&)>& visit) const;

  void set_connections_max(std::size_t connections_max) { connections_max_ = connections_max; }
  std::size_t connections_max() const { return connections_max_; }
  std::size_t size() const { return size_; }
  std::size_t memory_bytes() const;

 private:
  template <std::size_t kAddressBytes>
  class Partition;
  using Ipv4Partition = Partition<4>;
  using Ipv6Partition = Partition<16>;

  template <typename Visitor>
  auto WithPartition(Family family, FlowHash hash, Visitor&& visit) const;

  std::size_t connections_max_;
  std::size_t size_ = 0;
  KeyedHash hash_;

  // unique_ptr so that the header need not show the slots.
  struct Partitions;
  struct PartitionsDeleter {
    void operator()(Partitions* partitions) const;
  };
  std::unique_ptr<Partitions, PartitionsDeleter> partitions_;
};

}  // namespace conntally

// FlowTable: every live connection once, keyed by its whole original tuple and zone. Open addressing with linear
// probing in 64 partitions, each growing separately, so that no insertion has to move the whole table. A slot is 32 B
// (IPv4) or 56 B (IPv6). At its load of 53-80 % that is 40 to 60 B per IPv4 connection (70 to 105 B for IPv6), measured
// by memory_bytes().
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

// What the table stores about a live connection, besides its addresses and ports.
struct Flow {
  SourceRow source = kNoSourceRow;
  std::uint32_t id = 0;                  // CTA_ID; 0: not known
  std::int32_t opened_centiseconds = 0;  // on the tracker's clock
  std::uint16_t zone = 0;
  std::uint8_t protocol = 0;
  std::uint8_t tcp_state : 4 = 0;
  bool replied : 1 = false;
  bool opening_known : 1 = false;  // opened_centiseconds is when it opened
  bool unconfirmed : 1 = false;    // known only from the current dump
  bool generation : 1 = false;     // of the last dump, or event since its start, that contained it
};
static_assert(sizeof(Flow) == 16);

class FlowTable {
 public:
  FlowTable(std::size_t connections_max, KeyedHash hash);

  FlowHash Hash(const FlowKey& key) const;
  void Prefetch(const FlowKey& key, FlowHash hash) const;

  // nullptr if absent. Pointers are valid until the next Insert or Erase.
  Flow* Find(const FlowKey& key, FlowHash hash);
  const Flow* Find(const FlowKey& key, FlowHash hash) const { return const_cast<FlowTable*>(this)->Find(key, hash); }
  // `key` must be absent. nullptr if the table has connections_max.
  Flow* Insert(const FlowKey& key, FlowHash hash);
  // `flow` must be in this table; `hash` and `family` are those of its key.
  void Erase(Flow& flow, Family family, FlowHash hash);

  // Visits the flows of partition 0 .. kPartitions - 1 and erases those for which `erase` is true.
  static constexpr std::size_t kPartitions = 64;
  void Sweep(std::size_t partition, const std::function<bool(const FlowKey&, Flow&)>& erase);
  // A flow's partition.
  static std::size_t PartitionOf(FlowHash hash) { return hash >> 58; }

  // Visits the flows of a partition with their keys, to change the flows.
  void Revise(std::size_t partition, const std::function<void(const FlowKey&, Flow&)>& revise);

  // Visits the flows of a partition with their keys.
  void Visit(std::size_t partition, const std::function<void(const FlowKey&, const Flow&)>& visit) const;

  void set_connections_max(std::size_t connections_max) { connections_max_ = connections_max; }
  std::size_t connections_max() const { return connections_max_; }
  std::size_t size() const { return size_; }
  // Insertions and erasures so far.
  std::uint64_t changes() const { return changes_; }
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
  std::uint64_t changes_ = 0;
  KeyedHash hash_;

  // unique_ptr so that the header need not show the slots.
  struct Partitions;
  struct PartitionsDeleter {
    void operator()(Partitions* partitions) const;
  };
  std::unique_ptr<Partitions, PartitionsDeleter> partitions_;
};

}  // namespace conntally

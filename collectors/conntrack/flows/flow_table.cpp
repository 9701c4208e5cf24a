#include "collectors/conntrack/flows/flow_table.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace conntally {
namespace {

// The bytes that identify a flow, for hashing: addresses of their family's length, ports, zone, protocol.
std::size_t IdentityBytes(const FlowKey& key, std::array<std::byte, 40>& bytes) {
  std::size_t size = 0;
  const auto append = [&](const void* data, std::size_t length) {
    std::memcpy(bytes.data() + size, data, length);
    size += length;
  };
  const std::size_t address_bytes = AddressBits(key.family) / 8;
  append(key.source.data(), address_bytes);
  append(key.destination.data(), address_bytes);
  append(&key.source_port, sizeof key.source_port);
  append(&key.destination_port, sizeof key.destination_port);
  append(&key.zone, sizeof key.zone);
  append(&key.protocol, sizeof key.protocol);
  append(&key.family, sizeof key.family);
  return size;
}

}  // namespace

// One partition for one family: slots in hash order, as linear probing leaves them.
template <std::size_t kAddressBytes>
class FlowTable::Partition {
 public:
  struct Slot {
    Flow flow;
    std::uint32_t hash = 0;  // 0: free
    std::array<std::uint8_t, kAddressBytes> source{};
    std::array<std::uint8_t, kAddressBytes> destination{};
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;

    bool Holds(const FlowKey& key, std::uint32_t key_hash) const {
      return hash == key_hash && source_port == key.source_port && destination_port == key.destination_port &&
             flow.protocol == key.protocol && flow.zone == key.zone &&
             std::memcmp(source.data(), key.source.data(), kAddressBytes) == 0 &&
             std::memcmp(destination.data(), key.destination.data(), kAddressBytes) == 0;
    }
    // `key` must be of the family, with zeros after the address's bytes.
    const FlowKey& ToKey(FlowKey& key) const {
      std::copy_n(source.begin(), kAddressBytes, key.source.begin());
      std::copy_n(destination.begin(), kAddressBytes, key.destination.begin());
      key.source_port = source_port;
      key.destination_port = destination_port;
      key.zone = flow.zone;
      key.protocol = flow.protocol;
      return key;
    }
  };
  static constexpr std::size_t kSlotBytes = sizeof(Slot);
  static_assert(kSlotBytes == 24 + 2 * kAddressBytes);

  // The low half of the hash, never 0; the partition is chosen by the high half.
  static std::uint32_t SlotHash(FlowHash hash) { return std::max(static_cast<std::uint32_t>(hash), 1U); }

  // Where the flow is, or a few slots before it; nullptr while there are no slots.
  const Slot* Home(FlowHash hash) const { return capacity_ == 0 ? nullptr : &slots_[HomeOf(SlotHash(hash))]; }

  Slot* Find(const FlowKey& key, FlowHash hash) {
    if (capacity_ == 0) return nullptr;
    const std::uint32_t slot_hash = SlotHash(hash);
    for (std::size_t i = HomeOf(slot_hash); slots_[i].hash != 0; i = Next(i)) {
      if (slots_[i].Holds(key, slot_hash)) return &slots_[i];
    }
    return nullptr;
  }

  Flow& Insert(const FlowKey& key, FlowHash hash) {
    if ((size_ + 1) * 5 > capacity_ * 4) Resize(std::max<std::size_t>(16, capacity_ + capacity_ / 2));
    Slot& slot = FreeSlotFor(SlotHash(hash));
    slot.hash = SlotHash(hash);
    std::copy_n(key.source.begin(), kAddressBytes, slot.source.begin());
    std::copy_n(key.destination.begin(), kAddressBytes, slot.destination.begin());
    slot.source_port = key.source_port;
    slot.destination_port = key.destination_port;
    slot.flow.zone = key.zone;
    slot.flow.protocol = key.protocol;
    ++size_;
    return slot.flow;
  }

  void Erase(Flow& flow) {
    static_assert(std::is_standard_layout_v<Slot>);  // so a slot has its first member's address
    EraseAt(static_cast<std::size_t>(reinterpret_cast<Slot*>(&flow) - slots_.get()));
    if (capacity_ > 16 && size_ * 4 < capacity_) Shrink();
  }

  template <typename Predicate>
  void Sweep(const Predicate& erase) {
    FlowKey key = KeyOfFamily();
    for (std::size_t i = 0; i < capacity_;) {
      // Erasing moves a later slot here: look again. At the array's end it may be one seen before, which `erase` keeps
      // again.
      if (slots_[i].hash != 0 && erase(slots_[i].ToKey(key), slots_[i].flow)) {
        EraseAt(i);
      } else {
        ++i;
      }
    }
    while (capacity_ > 16 && size_ * 4 < capacity_ && Shrink()) {
    }
  }

  template <typename Visitor>
  void Visit(const Visitor& visit) const {
    Revise([&](const FlowKey& key, Flow& flow) { visit(key, std::as_const(flow)); });
  }

  template <typename Visitor>
  void Revise(const Visitor& revise) const {
    FlowKey key = KeyOfFamily();
    for (std::size_t i = 0; i < capacity_; ++i) {
      if (slots_[i].hash != 0) revise(slots_[i].ToKey(key), slots_[i].flow);
    }
  }

  std::size_t size() const { return size_; }
  std::size_t memory_bytes() const { return capacity_ * sizeof(Slot); }

 private:
  static FlowKey KeyOfFamily() {
    FlowKey key;
    key.family = kAddressBytes == 4 ? Family::kIpv4 : Family::kIpv6;
    return key;
  }

  // Maps the hash to 0 .. capacity - 1 without a division (Lemire 2016), so that any capacity will do.
  std::size_t HomeOf(std::uint32_t hash) const {
    return static_cast<std::size_t>((std::uint64_t{hash} * capacity_) >> 32);
  }
  std::size_t Next(std::size_t i) const { return i + 1 == capacity_ ? 0 : i + 1; }
  std::size_t Distance(std::size_t from, std::size_t to) const {
    return to >= from ? to - from : to + capacity_ - from;
  }

  Slot& FreeSlotFor(std::uint32_t hash) {
    std::size_t i = HomeOf(hash);
    while (slots_[i].hash != 0) i = Next(i);
    return slots_[i];
  }

  // Moves back slots that the hole would separate from their home.
  void EraseAt(std::size_t hole) {
    for (std::size_t i = Next(hole); slots_[i].hash != 0; i = Next(i)) {
      if (Distance(HomeOf(slots_[i].hash), i) < Distance(hole, i)) continue;
      slots_[hole] = slots_[i];
      hole = i;
    }
    slots_[hole] = Slot{};
    --size_;
  }

  // False if there is no memory for the smaller array: then it is unchanged.
  bool Shrink() {
    try {
      Resize(std::max<std::size_t>(16, capacity_ / 2));
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

  // All or nothing.
  void Resize(std::size_t capacity) {
    const std::unique_ptr<Slot[]> old = std::exchange(slots_, std::make_unique<Slot[]>(capacity));
    const std::size_t old_capacity = std::exchange(capacity_, capacity);
    for (std::size_t i = 0; i < old_capacity; ++i) {
      if (old[i].hash != 0) FreeSlotFor(old[i].hash) = old[i];
    }
  }

  std::unique_ptr<Slot[]> slots_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
};

struct FlowTable::Partitions {
  std::array<Ipv4Partition, kPartitions> ipv4;
  std::array<Ipv6Partition, kPartitions> ipv6;
};

void FlowTable::PartitionsDeleter::operator()(Partitions* partitions) const { delete partitions; }

FlowTable::FlowTable(std::size_t connections_max, KeyedHash hash)
    : connections_max_(connections_max), hash_(hash), partitions_(std::make_unique<Partitions>().release()) {}

template <typename Visitor>
auto FlowTable::WithPartition(Family family, FlowHash hash, Visitor&& visit) const {
  const std::size_t index = PartitionOf(hash);
  static_assert(kPartitions == 1U << (64 - 58));
  return family == Family::kIpv4 ? visit(partitions_->ipv4[index]) : visit(partitions_->ipv6[index]);
}

FlowHash FlowTable::Hash(const FlowKey& key) const {
  std::array<std::byte, 40> bytes;
  const std::size_t size = IdentityBytes(key, bytes);
  return hash_(std::span(bytes).first(size));
}

void FlowTable::Prefetch(const FlowKey& key, FlowHash hash) const {
  // Not within the visitor: the compiler regards a function that only prefetches as without effect, and drops the call.
  const auto* home = WithPartition(key.family, hash, [&](const auto& partition) {
    return reinterpret_cast<const std::byte*>(partition.Home(hash));
  });
  const std::size_t slot_bytes = key.family == Family::kIpv4 ? Ipv4Partition::kSlotBytes : Ipv6Partition::kSlotBytes;
  __builtin_prefetch(home, 1);
  __builtin_prefetch(home + slot_bytes, 1);  // a slot may span two cache lines, and a probe may need the next one
}

Flow* FlowTable::Find(const FlowKey& key, FlowHash hash) {
  return WithPartition(key.family, hash, [&](auto& partition) -> Flow* {
    auto* slot = partition.Find(key, hash);
    return slot != nullptr ? &slot->flow : nullptr;
  });
}

Flow* FlowTable::Insert(const FlowKey& key, FlowHash hash) {
  if (size_ >= connections_max_) return nullptr;
  Flow* flow = WithPartition(key.family, hash, [&](auto& partition) { return &partition.Insert(key, hash); });
  ++size_;
  ++changes_;
  return flow;
}

void FlowTable::Erase(Flow& flow, Family family, FlowHash hash) {
  WithPartition(family, hash, [&](auto& partition) { partition.Erase(flow); });
  --size_;
  ++changes_;
}

void FlowTable::Sweep(std::size_t partition, const std::function<bool(const FlowKey&, Flow&)>& erase) {
  const auto sweep = [&](auto& part) {
    const std::size_t before = part.size();
    part.Sweep(erase);
    size_ -= before - part.size();
    changes_ += before - part.size();
  };
  sweep(partitions_->ipv4[partition]);
  sweep(partitions_->ipv6[partition]);
}

void FlowTable::Revise(std::size_t partition, const std::function<void(const FlowKey&, Flow&)>& revise) {
  partitions_->ipv4[partition].Revise(revise);
  partitions_->ipv6[partition].Revise(revise);
}

void FlowTable::Visit(std::size_t partition, const std::function<void(const FlowKey&, const Flow&)>& visit) const {
  partitions_->ipv4[partition].Visit(visit);
  partitions_->ipv6[partition].Visit(visit);
}

std::size_t FlowTable::memory_bytes() const {
  std::size_t bytes = 0;
  for (const auto& partition : partitions_->ipv4) bytes += partition.memory_bytes();
  for (const auto& partition : partitions_->ipv6) bytes += partition.memory_bytes();
  return bytes;
}

}  // namespace conntally

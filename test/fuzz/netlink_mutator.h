// Changes netlink messages as messages: attributes are added, removed, repeated, swapped, resized and filled with other
// numbers at any depth, and every length above them is set right again, so that a change is not refused at the first
// header.
#pragma once

#include <linux/netlink.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "test/fuzz/choice.h"

namespace conntally::fuzz {

using Octets = std::vector<std::uint8_t>;

// An attribute, or a message: what stands before its attributes is its head.
struct Piece {
  std::uint16_t type = 0;
  Octets head;                // of a message: all up to the attributes; of a leaf: its payload
  std::vector<Piece> pieces;  // a leaf has none

  static constexpr std::size_t kDepthMax = 12;

  // Attributes, when the octets are such from the first to the last.
  static bool ReadAll(std::span<const std::uint8_t> octets, std::size_t depth, std::vector<Piece>& pieces) {
    while (!octets.empty()) {
      nlattr header{};
      if (octets.size() < sizeof header) return false;
      std::memcpy(&header, octets.data(), sizeof header);
      if (header.nla_len < sizeof header || header.nla_len > octets.size()) return false;
      Piece piece{header.nla_type, {}, {}};
      const auto payload = octets.subspan(sizeof header, header.nla_len - sizeof header);
      // Not every nest says that it is one.
      if (payload.size() < sizeof header || depth == kDepthMax || !ReadAll(payload, depth + 1, piece.pieces)) {
        piece.pieces.clear();
        piece.head.assign(payload.begin(), payload.end());
      }
      pieces.push_back(std::move(piece));
      octets = octets.subspan(std::min<std::size_t>(octets.size(), (header.nla_len + 3U) & ~3U));
    }
    return true;
  }

  void Append(Octets& octets) const {
    const std::size_t begin = octets.size();
    octets.resize(begin + sizeof(nlattr));
    octets.insert(octets.end(), head.begin(), head.end());
    for (const Piece& piece : pieces) piece.Append(octets);
    const nlattr header{static_cast<std::uint16_t>(octets.size() - begin), type};
    std::memcpy(octets.data() + begin, &header, sizeof header);
    octets.resize((octets.size() + 3) & ~std::size_t{3});
  }

  void Change(Choice& choice, std::size_t depth = 0) {
    if (!pieces.empty() && (head.empty() ? !choice.OneIn(4) : !choice.OneIn(8))) {
      Piece& chosen = pieces[choice.Below(pieces.size())];
      if (depth < kDepthMax && !choice.OneIn(3)) return chosen.Change(choice, depth + 1);
      switch (choice.Below(6)) {
        case 0: pieces.erase(pieces.begin() + (&chosen - pieces.data())); return;
        case 1: pieces.push_back(Piece(chosen)); return;
        case 2: std::swap(chosen, pieces[choice.Below(pieces.size())]); return;
        case 3:
          chosen.type = static_cast<std::uint16_t>(choice.Below(64) | (choice.OneIn(2) ? NLA_F_NESTED : 0U));
          return;
        case 4: chosen.pieces = {Piece(chosen)}, chosen.head.clear(); return;  // one nest more
        default: pieces.push_back({static_cast<std::uint16_t>(choice.Below(32)), Number(choice), {}}); return;
      }
    }
    switch (choice.Below(4)) {
      case 0:
        head.resize(choice.Below(2) == 0 ? choice.Below(head.size() + 1) : head.size() + choice.Below(40));
        return;
      case 1: head = Number(choice); return;
      case 2: {
        const Octets number = Number(choice);
        if (head.empty()) return;
        const std::size_t at = choice.Below(head.size());
        std::copy_n(number.begin(), std::min(number.size(), head.size() - at),
                    head.begin() + static_cast<std::ptrdiff_t>(at));
        return;
      }
      default:
        if (!head.empty()) head[choice.Below(head.size())] ^= static_cast<std::uint8_t>(1U << choice.Below(8));
    }
  }

  // Of 1, 2, 4 or 8 octets, in either order.
  static Octets Number(Choice& choice) {
    const std::uint64_t number = choice.Number();
    Octets octets(std::size_t{1} << choice.Below(4));
    std::memcpy(octets.data(), &number, octets.size());
    if (choice.OneIn(2)) std::reverse(octets.begin(), octets.end());
    return octets;
  }
};

// Messages one after another, each with `fixed_bytes` between its header and its attributes.
class Datagram {
 public:
  Datagram(std::span<const std::uint8_t> octets, std::size_t fixed_bytes) {
    while (octets.size() >= sizeof(nlmsghdr)) {
      nlmsghdr header{};
      std::memcpy(&header, octets.data(), sizeof header);
      const std::size_t length = std::clamp<std::size_t>(header.nlmsg_len, sizeof header, octets.size());
      const std::size_t begin = std::min(length, sizeof header + fixed_bytes);
      Piece message{0, Octets(octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(begin)), {}};
      if (!Piece::ReadAll(octets.subspan(begin, length - begin), 0, message.pieces)) {
        message.pieces.clear();
        message.head.assign(octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(length));
      }
      messages_.push_back(std::move(message));
      octets = octets.subspan(std::min<std::size_t>(octets.size(), (length + 3) & ~std::size_t{3}));
    }
  }

  void Change(Choice& choice) {
    if (messages_.empty()) return;
    Piece& chosen = messages_[choice.Below(messages_.size())];
    if (choice.OneIn(16)) {
      messages_.push_back(Piece(chosen));
    } else if (choice.OneIn(16)) {
      messages_.erase(messages_.begin() + (&chosen - messages_.data()));
    } else {
      chosen.Change(choice);
      chosen.head.resize(std::max(chosen.head.size(), sizeof(nlmsghdr)));
    }
  }

  Octets Write() const {
    Octets octets;
    for (const Piece& message : messages_) {
      const std::size_t begin = octets.size();
      octets.insert(octets.end(), message.head.begin(), message.head.end());
      for (const Piece& piece : message.pieces) piece.Append(octets);
      const auto length = static_cast<std::uint32_t>(octets.size() - begin);
      std::memcpy(octets.data() + begin, &length, sizeof length);
      octets.resize((octets.size() + 3) & ~std::size_t{3});
    }
    return octets;
  }

 private:
  std::vector<Piece> messages_;
};

// For LLVMFuzzerCustomMutator. One change in four is libFuzzer's own, of bytes.
inline std::size_t MutateMessages(std::uint8_t* data, std::size_t size, std::size_t size_max, unsigned seed,
                                  std::size_t fixed_bytes,
                                  std::size_t (*mutate)(std::uint8_t*, std::size_t, std::size_t)) {
  Choice choice(seed);
  if (choice.OneIn(4)) return mutate(data, size, size_max);
  Datagram datagram({data, size}, fixed_bytes);
  for (std::size_t i = 0; i <= choice.Below(4); ++i) datagram.Change(choice);
  const Octets changed = datagram.Write();
  if (changed.empty() || changed.size() > size_max) return mutate(data, size, size_max);
  std::copy(changed.begin(), changed.end(), data);
  return changed.size();
}

}  // namespace conntally::fuzz

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

// Where netfilter's header, struct nfgenmsg, stands before the attributes.
#define CONNTALLY_MUTATES_NETFILTER_MESSAGES                                                                 \
  extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max, \
                                                 unsigned seed) {                                            \
    return conntally::fuzz::MutateMessages(data, size, size_max, seed, 4, LLVMFuzzerMutate);                 \
  }                                                                                                          \
  static_assert(true)

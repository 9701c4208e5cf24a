// The names of rules, each stored once, by number. A name lives as long as something uses it: when there is no room for
// another, unused names are forgotten, and if these are few, also the least recently used ones.
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace conntally {

using RuleName = std::uint32_t;  // 0: no known rule

class RuleNames {
 public:
  static constexpr std::size_t kMax = 65'536;  // one for each source tracked by default; up to some 350 bytes each

  using Names = std::vector<bool>;  // indexed by RuleName

  RuleNames() : slots_(1) {}

  bool full() const { return by_text_.size() >= kMax; }
  bool Knows(const std::string& text) const { return by_text_.contains(text); }
  // The name's number, if it is known or there is room. The empty text is 0.
  RuleName Of(const std::string& text);
  // Valid until the next MakeRoom.
  const std::string& Text(RuleName name) const { return slots_[name].text != nullptr ? *slots_[name].text : kNone; }

  // An unmarked list of all names, in which the caller marks those that it uses.
  Names Unmarked() const { return Names(slots_.size()); }
  // Forgets at least an eighth of all names. Returns the forgotten ones; their numbers may be reused at once.
  Names MakeRoom(const Names& in_use);

 private:
  static const std::string kNone;

  struct Slot {
    const std::string* text = nullptr;  // the key in by_text_; null: free
    std::uint64_t asked = 0;            // the last call of Of for it, by number
  };

  std::vector<Slot> slots_;
  std::vector<RuleName> free_;
  std::unordered_map<std::string, RuleName> by_text_;
  std::uint64_t asked_ = 0;
};

}  // namespace conntally

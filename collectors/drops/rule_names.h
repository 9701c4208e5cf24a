// The names of rules, each held once, and told by a number. Names live as long as something uses them: when there is no
// room for one more, those that nothing uses are forgotten, and where these are few, those as well that were asked for
// longest ago.
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace conntally {

using RuleName = std::uint32_t;  // 0: no rule is known

class RuleNames {
 public:
  static constexpr std::size_t kMax =
      65'536;  // a rule for each source that is tracked by default; up to some 350 bytes each

  using Names = std::vector<bool>;  // indexed by RuleName

  RuleNames() : slots_(1) {}

  bool full() const { return by_text_.size() >= kMax; }
  bool Knows(const std::string& text) const { return by_text_.contains(text); }
  // Only where it is known, or there is room. The empty text is 0.
  RuleName Of(const std::string& text);
  // Holds until the next MakeRoom.
  const std::string& Text(RuleName name) const { return slots_[name].text != nullptr ? *slots_[name].text : kNone; }

  // None, as many as there may be now: for the caller to mark those that it uses.
  Names Unmarked() const { return Names(slots_.size()); }
  // Forgets an eighth of all or more. Returns those that are forgotten: their numbers may go to others at once.
  Names MakeRoom(const Names& in_use);

 private:
  static const std::string kNone;

  struct Slot {
    const std::string* text = nullptr;  // the key in by_text_; null: free
    std::uint64_t asked = 0;            // which call of Of was the last for it
  };

  std::vector<Slot> slots_;
  std::vector<RuleName> free_;
  std::unordered_map<std::string, RuleName> by_text_;
  std::uint64_t asked_ = 0;
};

}  // namespace conntally

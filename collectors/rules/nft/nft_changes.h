// The counts of nftables' rules that no dump shows any more, from the notifications of the group NFNLGRP_NFTABLES.
//
// The protocol. A dump has the counters of one generation. The kernel sends each transaction's messages in order, then
// its generation (NFT_MSG_NEWGEN). So between two dumps, of generations A and B, the transactions A < g <= B count,
// late ones (g <= A) are ignored, and those after B wait for the next dump. Handles start again with their table, so
// only the order tells which rule a handle means: the first DELRULE of a handle after a dump is for the rule in that
// dump, later ones are for rules created since. A deleted rule is reported completely, with its final values, since the
// commit has removed it from the packet path before (measured: 1.5 million packets through 65 reloads, none lost).
//
// A NEWRULE has the counter's initial value: packets during the commit, or the value that a restore wrote (see
// rule_counters.h). A rule that came and went is identified by the same bytes as its text (TextKey); for that, the
// elements of its anonymous sets are followed too.
//
// Named counters, policies and elements of sets are not reported, so their counts since the last dump are lost with
// them. After a loss (NoteLoss), reported counts are still credited, but initial values are unknown until the next
// dump.
//
// Pure: depends only on messages. Threads: one owner.
//
// Source: net/netfilter/nf_tables_api.c (nf_tables_commit, nf_tables_rule_notify, nf_tables_gen_notify).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "collectors/rules/firewall_reading.h"
#include "collectors/rules/nft/messages/nft_messages.h"
#include "collectors/rules/nft/messages/nft_set_content.h"

namespace conntally {

class NftChanges {
 public:
  static constexpr std::size_t kPassedMax = 65'536;        // different rules that came and went
  static constexpr std::size_t kTransactionMax = 262'144;  // rules of one transaction: 30 MB
  static constexpr std::size_t kSetBytesMax = 4U << 20U;   // of anonymous sets' elements
  static constexpr std::size_t kChangedSetsMax = 4096;     // beyond it all named sets count as changed

  // Starts following these rules from this generation.
  void Begin(std::shared_ptr<const Ruleset> ruleset, std::uint32_t generation);

  // Takes one message of the group, in order. Ignores a transaction after the generation `until`, if given.
  void Note(Bytes message, std::optional<std::uint32_t> until = std::nullopt);
  // Call it when messages were lost.
  void NoteLoss();

  bool listens() const { return before_ != nullptr; }
  bool lost() const { return lost_; }
  // Of the last transaction counted, or of the dump.
  std::uint32_t generation() const { return generation_; }
  // Whether nobody has created, deleted or changed the named set or an element of it since the dump. Packets and time
  // may have.
  bool StandsAsRead(const NftSetContents::key_type& place) const;
  // Whether a rule that came and went has this text key.
  bool Awaits(const std::string& text_key) const { return passed_.contains(text_key); }

  // The changes up to the dump of `now`. `texts` by TextKey.
  RuleChanges Take(const Ruleset& now, const std::unordered_map<std::string, std::string>& texts);

  // Rules without room.
  std::uint64_t turned_away() const { return turned_away_; }

 private:
  using SetPlace = NftSetContents::key_type;
  struct Place {
    std::uint32_t table;
    std::uint64_t handle;
    friend bool operator==(const Place&, const Place&) = default;
  };
  struct PlaceHash {
    std::size_t operator()(const Place& place) const {
      return std::hash<std::uint64_t>()(place.handle * 0x9e3779b97f4a7c15ULL + place.table);
    }
  };
  struct Change {
    enum class Kind { kMade, kDeleted } kind;
    Place place;
    RuleCounter counter;
    RuleFamily family = RuleFamily::kIp;
    std::string chain = {};
    std::string text_key = {};  // of a deleted rule that was created since the dump
  };
  struct KnownRule {
    std::size_t index;
    bool deleted;
  };
  struct FollowedSet {
    bool intervals = false;
    bool decoded = false;
    std::vector<std::vector<std::byte>> messages;
  };

  void NoteMade(Bytes message);
  void NoteDeleted(Bytes message);
  void NoteSet(Bytes message);
  void NoteElements(Bytes message);
  void NoteChanged(const SetPlace& place);
  void Forget(const SetPlace& place);
  void Stage(Change change);
  void Apply(const Change& change);
  void Pass(const Change& change);
  std::uint32_t TableOf(RuleFamily family, std::string_view name);
  std::string KeyOf(const NftRule& rule);

  std::shared_ptr<const Ruleset> before_;
  std::uint32_t base_ = 0;  // the dump's generation
  std::uint32_t generation_ = 0;
  bool lost_ = false;
  std::uint64_t turned_away_ = 0;

  std::vector<std::pair<RuleFamily, std::string>> tables_;  // Place::table is an index
  std::uint32_t last_table_ = 0;
  std::unordered_map<Place, KnownRule, PlaceHash> known_;
  std::vector<Change> transaction_;  // until its generation is known
  std::vector<std::optional<RuleCounter>> finals_;
  std::unordered_map<Place, RuleCounter, PlaceHash> begun_;      // rules that did not begin at zero
  std::unordered_map<std::string, RuleChanges::Passed> passed_;  // by TextKey; without texts

  std::map<SetPlace, FollowedSet> sets_;  // anonymous ones, created since the dump
  std::set<SetPlace> changed_sets_;       // named ones
  NftSetContents contents_;               // of requested sets
  std::size_t set_bytes_ = 0;
};

}  // namespace conntally

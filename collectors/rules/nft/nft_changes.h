// What nftables' rules counted that a dump shows no more, from the notifications of the group NFNLGRP_NFTABLES.
//
// The protocol. A dump holds the counters of one generation. The kernel tells each transaction's messages in order,
// then its generation (NFT_MSG_NEWGEN). So between two dumps, of generations A and B, the transactions A < g <= B are
// taken in, those that come late (g <= A) are left out, and those past B wait for the next dump. Handles begin anew
// with their table, so which rule a handle means is told by the order alone: the first DELRULE of a handle after a dump
// is of the rule in that dump, later ones are of rules that came and went since. Rules are told whole when they go,
// with the final values: a commit has taken them out of the packets' way before (measured: 1.5 million packets through
// 65 reloads, none lost).
//
// A NEWRULE tells what a counter began with: packets that came during the commit, or what a restore wrote
// (rule_counters.h tells them apart). A rule that came and went is known by the same bytes as its text (TextKey); to
// know its anonymous sets by their elements, these are followed, too.
//
// Not told, so what they counted since the last dump is lost with them: named counters, policies, elements of sets.
// After a loss (NoteLoss) what is told is still credited, but nothing is known of rules' beginnings until the next
// dump.
//
// Pure: of messages. Threads: one owner.
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
  static constexpr std::size_t kChangedSetsMax = 4096;     // from there on all named sets count as changed

  // From here on: what becomes of these rules after this generation.
  void Begin(std::shared_ptr<const Ruleset> ruleset, std::uint32_t generation);

  // One message of the group, in the order in which they came. A transaction past the generation `until`, where it is
  // given, is left out.
  void Note(Bytes message, std::optional<std::uint32_t> until = std::nullopt);
  // Messages did not come, or one that should have did not.
  void NoteLoss();

  bool listens() const { return before_ != nullptr; }
  bool lost() const { return lost_; }
  // Of the last transaction that was taken in, or of the dump.
  std::uint32_t generation() const { return generation_; }
  // Whether nobody made, deleted or changed a named set since the dump, nor an element of it. Packets and time may
  // have.
  bool StandsAsRead(const NftSetContents::key_type& place) const;
  // By texts' keys, of rules that came and went.
  bool Awaits(const std::string& text_key) const { return passed_.contains(text_key); }

  // Up to the dump of `now`. `texts` by TextKey.
  RuleChanges Take(const Ruleset& now, const std::unordered_map<std::string, std::string>& texts);

  // Rules for which there was no room.
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
    std::string text_key = {};  // of a deleted one that had come since the dump
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
  std::vector<Change> transaction_;  // until its generation is told
  std::vector<std::optional<RuleCounter>> finals_;
  std::unordered_map<Place, RuleCounter, PlaceHash> begun_;      // those that did not begin with zero
  std::unordered_map<std::string, RuleChanges::Passed> passed_;  // by TextKey; their texts are not filled in

  std::map<SetPlace, FollowedSet> sets_;  // anonymous ones, made since the dump
  std::set<SetPlace> changed_sets_;       // named ones
  NftSetContents contents_;               // of those that were asked for
  std::size_t set_bytes_ = 0;
};

}  // namespace conntally

// Reads nftables' rules and their counters from the kernel. While the ruleset's generation is unchanged, a reading
// walks one dump of the rules only for their counters. When it changes, everything is read again, but texts only for
// new rules. Requests only read; none resets a counter. The kernel reports changes between two readings (nft_watch.h):
// call Follow when they come, so that a burst of them fits into the socket's buffer.
//
// Threads: one owner, which has entered the network namespace to be read.
//
// Sources: linux/netfilter/nf_tables.h; net/netfilter/nf_tables_api.c.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include "collectors/netlink/query.h"
#include "collectors/netlink/socket.h"
#include "collectors/rules/firewall_reading.h"
#include "collectors/rules/nft/decode/nft_rule_decoder.h"
#include "collectors/rules/nft/messages/nft_messages.h"
#include "collectors/rules/nft/nft_watch.h"

namespace conntally {

class NftReader {
 public:
  static constexpr std::size_t kRulesMax = 262'144;
  static constexpr std::size_t kElementsMax = 1'048'576;   // over all sets
  static constexpr std::size_t kNamedElementsMax = 8'192;  // of a named set whose keys are not addresses

  // Which elements of address sets are read this time. The others keep their last elements; a set that was never read,
  // or not since it changed, is not `complete`.
  struct Elements {
    bool read = true;
    bool with_counters = true;  // also those of sets in which only counters change
    std::stop_token stop = {};  // large sets take seconds: a stop abandons the reading
  };
  // The rules and counters of one generation, or the failure.
  BackendReading Read(const Elements& elements);
  BackendReading Read() { return Read(Elements()); }
  // The CPU time of the last reading for these elements.
  std::chrono::nanoseconds elements_cpu() const { return elements_cpu_; }

  // Processes the kernel's notifications. Call it soon after changes_fd is readable.
  void Follow() { watch_.Follow(); }
  int changes_fd() const { return watch_.fd(); }

  // Notifications of changes that were lost.
  std::uint64_t changes_lost() const { return watch_.lost(); }

 private:
  struct SetToRead {
    RuleFamily family;
    std::string table;
    std::string name;
    bool intervals;
    std::size_t index = 0;  // in the list of sets
    bool pending = false;   // not read yet, or not since it changed
    bool changes = false;   // by packets or time
    bool counts = false;    // its elements have counters
  };
  // What is valid for a generation.
  struct Known {
    std::uint32_t generation = 0;
    std::shared_ptr<const Ruleset> ruleset;
    std::vector<std::string> objects;     // by rule: family, table and name of its named counter, or empty
    std::vector<std::size_t> counted_at;  // by rule: NftRuleCount::at
    bool has_objects = false;
    bool has_policy_counters = false;
    std::shared_ptr<const std::vector<AddressSet>> sets;
    std::vector<SetToRead> named;  // sets of addresses
  };
  using Objects = std::map<std::string, RuleCounter, std::less<>>;

  Result<BackendReading> TryRead();
  Result<std::uint32_t> Generation();
  // nullopt: the ruleset has changed.
  Result<std::optional<BackendReading>> Refresh();
  Status Rebuild(std::uint32_t generation);
  Status ReadChains(Ruleset& ruleset);
  Status ReadRules(Ruleset& ruleset);
  Status ReadSets();
  void TakeOver(SetToRead& set, AddressSet& named);
  Status RefreshSets();
  // Whether rules must be decoded again, now that it is known which sets they fill.
  bool FollowUpdates(const Ruleset& ruleset);
  Status ReadElements(const SetToRead& set, std::vector<AddressSet>& sets);
  Result<std::vector<NftSetContent::Element>> DumpElements(RuleFamily family, const std::string& table,
                                                           const std::string& name, bool intervals, AddressSet* named);
  Status QueryUntilStopped(const NetlinkRequest& request, const std::function<void(Bytes)>& visit);
  Result<Objects> ReadObjects();
  Status AddTexts(Ruleset& ruleset);
  void AddChanges(BackendReading& snapshot);

  std::optional<NetlinkSocket> socket_;
  NftWatch watch_;
  std::optional<Known> known_;
  Elements elements_;
  std::chrono::nanoseconds elements_cpu_{};
  // Of the last generation: address sets, those still to be read, and those whose elements have counters.
  std::shared_ptr<const std::vector<AddressSet>> sets_known_;
  std::set<NftSetContents::key_type> pending_, counted_;
  std::size_t elements_read_ = 0;
  bool catch_all_ = false;  // in the last set read

  // While rebuilding.
  Known building_;
  NftSetContents contents_;
  std::vector<std::string> keys_;                       // by rule: what its text depends on
  std::unordered_map<std::string, std::string> texts_;  // by these keys, of the last generation
};

}  // namespace conntally

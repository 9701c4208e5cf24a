// The rules' texts as the firewall's own tools print them, without counters, so that equal rules have equal texts.
//
// Native nftables rules: libnftables, in this process. Rules of iptables-nft and of the legacy tables: only iptables'
// own code prints them as they were typed. It prints to stdout and may exit, so it runs as a separate process
// (iptables-nft-save and the like, which only read). Both are slow, and used only for rules with unknown text, never
// for a poll of counters.
//
// The parsers are pure. The others read the calling thread's network namespace; one thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "collectors/rules/rule_words.h"
#include "collectors/system/result.h"

namespace conntally {

// By handle.
using NftTexts = std::map<std::uint64_t, std::string>;
// By table and chain; the texts are in the chain's order, without "-A CHAIN".
using SaveTexts = std::map<std::pair<std::string, std::string>, std::vector<std::string>>;

// By table.
std::map<std::string, NftTexts> ParseNftListing(std::string_view listing);
SaveTexts ParseSaveListing(std::string_view listing);

// The texts of a family, by table.
Result<std::map<std::string, NftTexts>> ListNftTables(RuleFamily family);

enum class SaveTool : std::uint8_t { kIptablesNft, kIp6tablesNft, kIptablesLegacy, kIp6tablesLegacy };
Result<SaveTexts> ListSaved(SaveTool tool);

}  // namespace conntally

// What an nftables rule asks of a packet and does with it, from its expressions: the virtual machine's registers are
// followed from load to comparison. Whatever is not understood leaves Rule::fully_understood false; nothing is guessed.
// Pure; any thread.
//
// Source: linux/netfilter/nf_tables.h; the expressions' meaning: net/netfilter/nft_*.c.
#pragma once

#include <string>

#include "collectors/rules/nft/messages/nft_messages.h"
#include "collectors/rules/nft/messages/nft_set_content.h"
#include "collectors/rules/rule.h"

namespace conntally {

// All of Rule but backend, position and text.
Rule DecodeRule(const NftRule& message, const NftSetContents& sets);

// The comment that nft stores in a rule's user data, and iptables-nft in a match.
std::string CommentOf(Bytes userdata);

}  // namespace conntally

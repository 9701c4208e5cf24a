// Decodes the conditions and actions of an nftables rule from its expressions, by following the virtual machine's
// registers from load to comparison. Anything not understood leaves Rule::fully_understood false; it never guesses.
// Pure; any thread.
//
// Source: linux/netfilter/nf_tables.h; the expressions' meaning: net/netfilter/nft_*.c.
#pragma once

#include <string>

#include "collectors/rules/nft/messages/nft_messages.h"
#include "collectors/rules/nft/messages/nft_set_content.h"
#include "collectors/rules/rule.h"

namespace conntally {

// Fills all of Rule except backend, position and text.
Rule DecodeRule(const NftRule& message, const NftSetContents& sets);

// The comment in a rule's user data, where nft stores it; iptables-nft stores it in a match.
std::string CommentOf(Bytes userdata);

}  // namespace conntally

// Decodes how `snat`, `dnat`, `masquerade` and `redirect` translate addresses and ports. Pure; any thread.
//
// Source: linux/netfilter/nf_tables.h; net/netfilter/nft_nat.c, nft_masq.c, nft_redir.c.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "collectors/rules/nft/decode/nft_field.h"
#include "collectors/rules/rule.h"

namespace conntally {

// A register's value; empty: not a constant.
using NftRegisterValue = std::function<std::vector<std::byte>(std::uint32_t number)>;

// `name` is nat, masq or redir.
NatTarget DecodeNftNat(std::string_view name, const NftAttributes& a, const NftRegisterValue& value_of);

}  // namespace conntally

#include "collectors/rules/iptables/ipset_reader.h"

#include <netinet/in.h>
#include <sys/socket.h>
// The linux headers must come after the system ones, with which they clash otherwise.
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "collectors/addresses/ranges.h"
#include "collectors/netlink/messages.h"
#include "collectors/netlink/query.h"
#include "collectors/netlink/socket.h"
#include "collectors/rules/iptables/xt_decoder.h"

namespace conntally {
namespace {

constexpr std::uint8_t kProtocol = 6;  // older and newer kernels accept it

std::optional<IpAddress> ReadAddress(Bytes nest) {
  std::optional<IpAddress> address;
  AttributeWalk walk(nest);
  for (Attribute attribute; walk.Next(attribute);) {
    IpAddress read;
    read.family = attribute.type == IPSET_ATTR_IPADDR_IPV4 ? Family::kIpv4 : Family::kIpv6;
    const std::size_t width = AddressBits(read.family) / 8;
    if (attribute.payload.size() != width) continue;
    std::memcpy(read.bytes.data(), attribute.payload.data(), width);
    address = read;
  }
  return address;
}

std::optional<SetElement> ReadElement(Bytes nest) {
  std::optional<IpAddress> first, last;
  std::optional<std::uint8_t> length;
  SetElement element;
  AttributeWalk walk(nest);
  for (Attribute attribute; walk.Next(attribute);) {
    const std::uint64_t number = AttributeNumber(attribute.payload).value_or(0);
    switch (attribute.type) {
      case IPSET_ATTR_IP: first = ReadAddress(attribute.payload); break;
      case IPSET_ATTR_IP_TO: last = ReadAddress(attribute.payload); break;
      case IPSET_ATTR_CIDR: length = static_cast<std::uint8_t>(number); break;
      case IPSET_ATTR_CADT_FLAGS: element.no_match = (number & IPSET_FLAG_NOMATCH) != 0; break;
      case IPSET_ATTR_PACKETS:
        if (!element.counter) element.counter.emplace();
        element.counter->packets = number;
        break;
      case IPSET_ATTR_BYTES:
        if (!element.counter) element.counter.emplace();
        element.counter->bytes = number;
        break;
      default: break;
    }
  }
  if (walk.malformed() || !first) return std::nullopt;
  element.addresses = {*first, last.value_or(*first)};
  if (element.addresses.last.family != first->family || (length && *length > AddressBits(first->family)))
    return std::nullopt;
  if (length) element.addresses.last = RangeOf({element.addresses.last, *length}).last;
  return element;
}

// From a set's own data: present even if elements do not expire by default.
bool HasTimeout(Bytes data) {
  AttributeWalk walk(data);
  for (Attribute attribute; walk.Next(attribute);) {
    if (attribute.type == IPSET_ATTR_TIMEOUT) return true;
  }
  return false;
}

std::string NameOfIndex(int socket, std::uint16_t index) {
  ip_set_req_get_set request{};
  request.op = IP_SET_OP_GET_BYINDEX;
  request.version = kProtocol;
  request.set.index = index;
  socklen_t length = sizeof request;
  if (getsockopt(socket, SOL_IP, SO_IP_SET, &request, &length) < 0) return {};
  return std::string(request.set.name, strnlen(request.set.name, sizeof request.set.name));
}

}  // namespace

std::optional<AddressSet> DecodeIpset(Bytes message) {
  const auto read = ReadNetfilterMessage(message);
  if (!read) return std::nullopt;
  AddressSet set;
  set.ipset = true;
  std::string_view type;
  Bytes elements;
  AttributeWalk walk(read->attributes);
  for (Attribute attribute; walk.Next(attribute);) {
    if (attribute.type == IPSET_ATTR_SETNAME) set.name = AttributeText(attribute.payload);
    if (attribute.type == IPSET_ATTR_TYPENAME) type = AttributeText(attribute.payload);
    if (attribute.type == IPSET_ATTR_FAMILY && AttributeNumber(attribute.payload) == AF_INET6)
      set.address_family = Family::kIpv6;
    if (attribute.type == IPSET_ATTR_DATA) set.expires = HasTimeout(attribute.payload);
    if (attribute.type == IPSET_ATTR_ADT) elements = attribute.payload;
  }
  if (walk.malformed() || set.name.empty()) return std::nullopt;
  // A set that spans several messages has its type only in the first.
  set.complete = type.empty() || type == "hash:ip" || type == "hash:net" || type == "bitmap:ip";
  set.of_sets = type == "list:set";
  set.family = set.address_family == Family::kIpv4 ? RuleFamily::kIp : RuleFamily::kIp6;
  set.dynamic = true;
  AttributeWalk items(elements);
  for (Attribute item; set.complete && items.Next(item);) {
    if (auto element = ReadElement(item.payload)) {
      set.elements.push_back(std::move(*element));
    } else {
      set.complete = false;
    }
  }
  return set;
}

bool NameIpsets(Ruleset& ruleset) {
  bool any = false;
  FileDescriptor socket;
  std::map<std::uint16_t, std::string> names;
  for (Rule& rule : ruleset.rules) {
    for (RuleCondition& condition : rule.conditions) {
      any = any || condition.ipset;
      const auto index = IndexOfUnnamedIpset(condition.set);
      if (!condition.ipset || !index) continue;
      if (socket.get() < 0) socket = FileDescriptor(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      const auto [name, added] = names.try_emplace(*index);
      if (added) name->second = NameOfIndex(socket.get(), *index);
      if (name->second.empty()) continue;
      if (rule.counting_ipset && rule.counting_set == condition.set) rule.counting_set = name->second;
      condition.set = name->second;
    }
  }
  return any;
}

Result<std::vector<AddressSet>> ReadIpsets(std::size_t elements_max) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return socket.error();
  NetlinkRequest request(NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_LIST, NetlinkRequest::Wants::kDump, AF_INET);
  request.Put(IPSET_ATTR_PROTOCOL, kProtocol);
  std::vector<AddressSet> sets;
  const auto asked = Query(*socket, request, [&](Bytes message) {
    auto set = DecodeIpset(message);
    if (!set) return;
    if (sets.empty() || sets.back().name != set->name)
      sets.push_back({true, set->family, {}, set->name, set->address_family, true, true, false, false, {}});
    AddressSet& whole = sets.back();
    const std::size_t room = elements_max - std::min(elements_max, whole.elements.size());
    whole.expires = whole.expires || set->expires;
    whole.of_sets = whole.of_sets || set->of_sets;
    whole.complete = whole.complete && set->complete && set->elements.size() <= room;
    if (set->elements.size() > room) set->elements.resize(room);
    whole.elements.insert(whole.elements.end(), set->elements.begin(), set->elements.end());
  });
  if (!asked) return asked.error();
  return sets;
}

}  // namespace conntally

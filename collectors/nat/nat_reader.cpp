#include "collectors/nat/nat_reader.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <sys/utsname.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>
#include <vector>

#include "collectors/conntrack/decode/decode.h"
#include "collectors/conntrack/dumps/filtered_dump.h"

namespace conntally {
namespace {

constexpr std::size_t kFilteredDumpsMax = 2;  // beyond, one dump of the family is cheaper

// Ignores entries without a status.
Status Dump(const NetlinkRequest& request, StatusFilter filter, const std::stop_token& stop,
            const std::function<void(const FlowEvent&, const FlowKey& reply)>& visit) {
  return DumpEntries(WithStatus(request, filter), stop, [&](const FlowEvent& flow, Bytes message) {
    if (!flow.has_status || !filter.Holds(flow.status)) return;
    if (const auto reply = DecodeReply(message)) visit(flow, *reply);
  });
}

}  // namespace

Status ReadTranslated(const std::stop_token& stop, NatCensus& census) {
  const auto add = [&](const FlowEvent& flow, const FlowKey& reply) { census.AddTranslated(flow, reply); };
  Status dumped = Dump(AllEntries(), {IPS_SRC_NAT, IPS_SRC_NAT}, stop, add);
  if (!dumped) return dumped;
  dumped = Dump(AllEntries(), {IPS_SRC_NAT | IPS_DST_NAT, IPS_DST_NAT}, stop, add);
  if (!dumped) return dumped;

  const std::set<IpAddress> addresses = census.nat_addresses();
  const auto add_own = [&](const FlowEvent& flow, const FlowKey& reply) {
    if (addresses.contains(flow.key.SourceAddress())) census.AddUntranslated(flow, reply);
  };
  const StatusFilter untranslated{IPS_SRC_NAT, 0};
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    std::vector<IpAddress> wanted;
    std::copy_if(addresses.begin(), addresses.end(), std::back_inserter(wanted),
                 [&](const IpAddress& address) { return address.family == family; });
    const bool each = family == Family::kIpv4 && wanted.size() <= kFilteredDumpsMax;
    if (!each && !wanted.empty()) dumped = Dump(EntriesOf(family), untranslated, stop, add_own);
    for (std::size_t i = 0; each && dumped && i < wanted.size(); ++i) {
      dumped = Dump(EntriesOf(wanted[i]), untranslated, stop, [&](const FlowEvent& flow, const FlowKey& reply) {
        if (flow.key.SourceAddress() == wanted[i]) census.AddUntranslated(flow, reply);
      });
    }
    if (!dumped) return dumped;
  }
  return Ok();
}

bool TakesClosedPortsAgain(std::string_view release) {
  constexpr std::pair kSince(6U, 6U);
  std::pair version(0U, 0U);
  const char* const end = release.data() + release.size();
  const auto major = std::from_chars(release.data(), end, version.first);
  if (major.ec != std::errc{} || major.ptr == end || *major.ptr != '.') return false;
  const auto minor = std::from_chars(major.ptr + 1, end, version.second);
  return minor.ec == std::errc{} && version >= kSince;
}

bool ThisKernelTakesClosedPortsAgain() {
  utsname names{};
  return uname(&names) == 0 && TakesClosedPortsAgain(names.release);
}

}  // namespace conntally

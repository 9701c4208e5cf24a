#include <linux/netfilter.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter/xt_LOG.h>
#include <linux/netfilter/xt_NFLOG.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <linux/netfilter/xt_mark.h>

#include <algorithm>
#include <array>

#include "collectors/rules/iptables/xt_bytes.h"
#include "collectors/rules/iptables/xt_decoder.h"
#include "collectors/rules/iptables/xt_nat.h"

namespace conntally {
namespace {

// The effects of a target after which the packet continues.
void Marking(std::string_view name, std::uint32_t revision, Bytes info, Rule& rule) {
  if (name == "TTL" || name == "HL") {
    // struct ipt_TTL_info of linux/netfilter_ipv4/ipt_TTL.h, ip6t_HL_info: with few hops left it goes nowhere from
    // here.
    constexpr int kSet = 0, kIncrease = 1, kFewHops = 32;
    const bool is_whole = info.size() >= 2;
    const int mode = is_whole ? std::to_integer<int>(info[0]) : -1;
    const bool harmless = mode == kIncrease || (mode == kSet && std::to_integer<int>(info[1]) >= kFewHops);
    if (!harmless) rule.verdict = Verdict::kOther;
  }
  if (name == "TRACE") rule.traces = true;
  if (name == "NOTRACK") rule.untracks = true;
  if (name == "CT") {
    const auto target = ReadXt<xt_ct_target_info>(info);  // later revisions begin like it
    rule.untracks = target && (target->flags & XT_CT_NOTRACK) != 0;
    constexpr std::uint16_t kNotOneZone = XT_CT_ZONE_DIR_ORIG | XT_CT_ZONE_DIR_REPL | XT_CT_ZONE_MARK;
    if (target && target->zone != 0 && (target->flags & kNotOneZone) == 0) rule.zone = ZoneChange{target->zone};
    if (target && (target->flags & kNotOneZone) != 0) rule.zone = ZoneChange{};
  }
  if (name == "CONNMARK") {
    const std::size_t mode_at = revision >= 2 ? 14 : 12;  // of struct xt_connmark_tginfo2 and 1
    constexpr int kRestore = 2;
    if (info.size() <= mode_at || std::to_integer<int>(info[mode_at]) == kRestore) rule.mark = MarkChange{};
  }
  if (name == "MARK") {
    const auto target = ReadXt<xt_mark_tginfo2>(info);
    rule.mark = revision == 2 && target ? MarkChange{true, ~target->mask, target->mark} : MarkChange{};
  }
}

}  // namespace

void DecodeXtTarget(std::string_view name, std::uint32_t revision, Bytes info, Rule& rule) {
  constexpr std::array<std::string_view, 6> kNat = {"DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP", "TPROXY"};
  constexpr std::array<std::string_view, 17> kMarking = {
      "MARK",     "CONNMARK",    "CT",       "NOTRACK", "TCPMSS", "DSCP", "TOS", "TTL",  "HL",
      "CLASSIFY", "TCPOPTSTRIP", "CHECKSUM", "SET",     "TRACE",  "TEE",  "ECN", "AUDIT"};
  const auto among = [&](const auto& names) { return std::find(names.begin(), names.end(), name) != names.end(); };
  if (name == "REJECT") {
    rule.verdict = Verdict::kReject;
    constexpr std::uint32_t kIptTcpReset = 7,
                            kIp6tTcpReset = 6;  // linux/netfilter_ipv4/ipt_REJECT.h, netfilter_ipv6/ip6t_REJECT.h
    const auto with = ReadXt<std::uint32_t>(info);
    rule.tcp_reset = with && *with == (rule.family == RuleFamily::kIp6 ? kIp6tTcpReset : kIptTcpReset);
  } else if (name == "LOG") {
    rule.verdict = Verdict::kLog;
    if (const auto log = ReadXt<xt_log_info>(info)) rule.log_prefix = XtText(log->prefix);
  } else if (name == "NFLOG") {
    rule.verdict = Verdict::kLog;
    if (const auto log = ReadXt<xt_nflog_info>(info)) {
      rule.log_prefix = XtText(log->prefix);
      rule.nflog_group = log->group;
    }
  } else if (name == "NFQUEUE") {
    rule.verdict = Verdict::kQueue;
    const auto first = ReadXt<xt_NFQ_info>(info);
    const auto queues = ReadXt<xt_NFQ_info_v3>(info);  // earlier revisions are a prefix of it
    if (!first) return;
    const std::uint32_t total = revision >= 1 && queues ? std::max<std::uint32_t>(queues->queues_total, 1) : 1;
    rule.queue = RuleQueue{{first->queuenum, first->queuenum + total - 1},
                           revision >= 2 && queues && (queues->flags & NFQ_FLAG_BYPASS) != 0};
  } else if (name == "SYNPROXY") {
    rule.verdict = Verdict::kOther;
    rule.takes_over = true;
  } else if (among(kNat)) {
    rule.verdict = Verdict::kNat;
    rule.nat = DecodeXtNat(name, revision, info, rule.family);
  } else if (among(kMarking)) {
    Marking(name, revision, info, rule);
  } else {
    rule.verdict = Verdict::kOther;
  }
}

}  // namespace conntally

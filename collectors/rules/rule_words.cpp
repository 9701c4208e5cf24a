#include "collectors/rules/rule_words.h"

namespace conntally {

const char* NameOf(RuleBackend backend) {
  switch (backend) {
    case RuleBackend::kNftables: return "nftables";
    case RuleBackend::kIptablesLegacy: return "iptables-legacy";
    case RuleBackend::kIp6tablesLegacy: return "ip6tables-legacy";
  }
  return "";
}

const char* NameOf(RuleFamily family) {
  switch (family) {
    case RuleFamily::kIp: return "ip";
    case RuleFamily::kIp6: return "ip6";
    case RuleFamily::kInet: return "inet";
    case RuleFamily::kArp: return "arp";
    case RuleFamily::kBridge: return "bridge";
    case RuleFamily::kNetdev: return "netdev";
  }
  return "";
}

const char* NameOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kContinue: return "continue";
    case Verdict::kAccept: return "accept";
    case Verdict::kDrop: return "drop";
    case Verdict::kReject: return "reject";
    case Verdict::kReturn: return "return";
    case Verdict::kJump: return "jump";
    case Verdict::kGoto: return "goto";
    case Verdict::kLog: return "log";
    case Verdict::kQueue: return "queue";
    case Verdict::kNat: return "nat";
    case Verdict::kMap: return "vmap";
    case Verdict::kOther: return "other";
  }
  return "";
}

}  // namespace conntally

// The program that manages the stopping rule, and how to configure it.
#include "daemon/diagnose/rules/stopped/stopped_traffic.h"

namespace conntally::diagnose {
namespace {

// How to configure the rules' owner, if no command of its own is offered.
std::string InWordsOf(const std::string& owner, const Packet& packet) {
  const std::string source = packet.source ? packet.source->ToString() : "SOURCE";
  if (owner == "docker")
    return " (containers that share a network reach each other: `docker network connect`; rules of your own belong "
           "into "
           "DOCKER-USER)";
  if (owner == "calico" || owner == "cilium")
    return " (a NetworkPolicy has to allow it: `kubectl get networkpolicy -A`)";
  if (owner == "kubernetes")
    return " (`kubectl get endpointslices -A`: has the service any that are ready? else a NetworkPolicy decides)";
  if (owner == "libvirt") return " (`virsh net-edit`: forward mode 'route' or 'open' lets others in)";
  if (owner == "csf") return " (`csf -g " + source + "` says why, `csf -dr " + source + "` ends a ban)";
  return {};
}

}  // namespace

void TellOwner(const RuleCase& rules, const Decision& stop, const Packet& packet, Finding& finding) {
  const RuleChain& base = rules.walker.chain(stop.base);
  const std::string owner = OwnerOf(rules.inputs.after, base.backend, base.family, base.table,
                                    stop.rule ? rules.walker.rule(*stop.rule).chain : base.name);
  if (!owner.empty())
    finding.evidence.push_back(owner + " writes these rules: change them with it, or it undoes the change" +
                               InWordsOf(owner, packet));
}

}  // namespace conntally::diagnose

// The kinds of finding, and their words in reports, in one table. Plain values; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

namespace conntally::diagnose {

enum class FindingId : std::uint8_t {
  kTableFull,
  kTableNearFull,
  kBootBurst,
  kSourceAtLimit,
  kRejectRule,
  kDropRule,
  kDropPolicy,
  kLateAccept,
  kEstablishedNotAccepted,
  kRelatedDropped,
  kStaleEntry,
  kForwardingOff,
  kNoRoute,
  kNoMasquerade,
  kDnatNotForwarded,
  kRpFilter,
  kNoListener,
  kListenerOtherAddress,
  kListenQueueFull,
  kSynFlood,
  kPortScan,
  kConnectionChurn,
  kConnectionLeak,
  kNatPortsExhausted,
  kInsertFailed,
  kInvalidPackets,
  kBucketsTooFew,
  kTimeoutsTooLong,
  kConntrackInactive,
  kEventsOff,
  kHelperMissing,
  kUnsavedRules,
  kUnpersistedSysctl,
  kDebugLogRule,
  kNothingFound,
};

inline constexpr std::array kFindingWords = std::to_array<std::pair<FindingId, const char*>>({
    {FindingId::kTableFull, "table-full"},
    {FindingId::kTableNearFull, "table-near-full"},
    {FindingId::kBootBurst, "boot-burst"},
    {FindingId::kSourceAtLimit, "source-at-limit"},
    {FindingId::kRejectRule, "reject-rule"},
    {FindingId::kDropRule, "drop-rule"},
    {FindingId::kDropPolicy, "drop-policy"},
    {FindingId::kLateAccept, "late-accept"},
    {FindingId::kEstablishedNotAccepted, "established-not-accepted"},
    {FindingId::kRelatedDropped, "related-dropped"},
    {FindingId::kStaleEntry, "stale-entry"},
    {FindingId::kForwardingOff, "forwarding-off"},
    {FindingId::kNoRoute, "no-route"},
    {FindingId::kNoMasquerade, "no-masquerade"},
    {FindingId::kDnatNotForwarded, "dnat-not-forwarded"},
    {FindingId::kRpFilter, "rp-filter"},
    {FindingId::kNoListener, "no-listener"},
    {FindingId::kListenerOtherAddress, "listener-other-address"},
    {FindingId::kListenQueueFull, "listen-queue-full"},
    {FindingId::kSynFlood, "syn-flood"},
    {FindingId::kPortScan, "port-scan"},
    {FindingId::kConnectionChurn, "connection-churn"},
    {FindingId::kConnectionLeak, "connection-leak"},
    {FindingId::kNatPortsExhausted, "nat-ports-exhausted"},
    {FindingId::kInsertFailed, "insert-failed"},
    {FindingId::kInvalidPackets, "invalid-packets"},
    {FindingId::kBucketsTooFew, "buckets-too-few"},
    {FindingId::kTimeoutsTooLong, "timeouts-too-long"},
    {FindingId::kConntrackInactive, "conntrack-inactive"},
    {FindingId::kEventsOff, "events-off"},
    {FindingId::kHelperMissing, "helper-missing"},
    {FindingId::kUnsavedRules, "unsaved-rules"},
    {FindingId::kUnpersistedSysctl, "unpersisted-sysctl"},
    {FindingId::kDebugLogRule, "debug-log-rule"},
    {FindingId::kNothingFound, "nothing-found"},
});

// In the order of the enum: see the assertion in finding_id.cpp.
const char* WordOf(FindingId id);

}  // namespace conntally::diagnose

// Which recent connections were answered: by their source's row, by the service they asked, and, for the few sources
// with most of the failing ones, by first contact.
//
// Events do not pay for this: like ConnectionCensus it walks the flow table a slice at a time, between events, in at
// most a fiftieth of the time. Its figures are one second old, or some seconds with a million connections.
//
// An attempt is a connection at least kAnswerWait old, so that it could be answered, and at most kAttemptAge old. A TCP
// attempt in SYN_SENT is unanswered: neither SYN/ACK nor RST came. Any other attempt is unanswered if it has seen no
// reply. By itself that means little, since much of UDP is never answered, but much for a service that used to answer.
// A connection that an RST refuses within kAnswerWait is an attempt as well. The kernel deletes it at once, so
// NoteRefused reports it. Refusals are counted for known services over kRefusedFor, and scaled to the time kAttemptAge
// - kAnswerWait. A service that nobody asks stays known for kServiceKept. For kStart after the first survey every one
// is known: a service that only refuses since before the start has no other attempts.
//
// A first contact is a destination and port that a source tried (Jung, Paxson, Berger, Balakrishnan 2004). Over TCP it
// fails if it is not answered, or only by RST. Over UDP it fails only if the source tries kUdpPortsMin or more ports of
// one destination without a reply, as a scanner does, and not if they are ports of traceroute's (kTracePortMin and up),
// or if one in kStreamPart of the ports is sent a stream, such as a recorded call. A stream is a UDP connection that is
// in the kernel's table longer after its opening than the timeout for unanswered ones, so its source sent more packets
// later. A contact that succeeded once does not fail later. It is forgotten after kContactAge.
//
// Bounds: kServicesMax services (the most used stay known), kCandidatesMax sources with kContactsMax contacts each,
// eight bytes per row. Half-open attempts are TCP without a completed handshake. The kernel keeps them for a minute or
// two, but only new ones count, since a flood is over when none are new.
//
// Threads: Step on the flow table's owner's; last on any.
#pragma once

#include <array>
#include <bitset>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "collectors/addresses/keyed_hash.h"
#include "collectors/conntrack/flows/flow_tracker.h"
#include "collectors/conntrack/surveys/survey_pace.h"
#include "collectors/tally/space_saving.h"

namespace conntally {

struct AnswerFigures {
  struct OfSource {
    std::uint16_t attempts = 0;  // of TCP; saturates
    std::uint16_t unanswered = 0;
    std::uint16_t half_open = 0;
    // Tenths of a second since the latest attempt was made that is answered by now, or is not; kNever: there is none.
    static constexpr std::uint8_t kNever = UINT8_MAX;
    std::uint8_t answered_age = kNever;
    std::uint8_t unanswered_age = kNever;
  };
  struct Service {
    IpAddress destination;
    std::uint16_t port = 0;
    std::uint8_t protocol = 0;
    std::uint32_t attempts = 0;
    std::uint32_t unanswered = 0;
    std::uint32_t refused = 0;  // not among `attempts`
    std::uint32_t sources = 0;  // of all these attempts; estimated, up to some 250
    std::uint32_t recent = 0;   // of `attempts`: no older than kRecentAttemptAge
    std::uint32_t recent_unanswered = 0;
  };
  struct Candidate {
    IpAddress source;
    std::uint32_t failed = 0;  // first contacts
    std::uint32_t recent = 0;  // failed ones within kRecentAge
    std::uint32_t succeeded = 0;
    std::uint32_t destinations = 0;  // distinct among the failed, estimated
    std::uint32_t ports = 0;
    // Of the port whose contacts failed most: a scan for one service hides behind what else its source does.
    std::uint16_t port = 0;
    std::uint32_t failed_at_port = 0;
    std::uint32_t succeeded_at_port = 0;
  };
  std::vector<OfSource> rows;  // by SourceRow
  std::uint64_t half_open_without_row = 0;
  std::uint64_t attempts = 0;  // of TCP
  std::uint64_t unanswered = 0;
  std::vector<Service> services;
  std::vector<Candidate> candidates;
};

class AnswerSurvey {
 public:
  using Clock = SurveyPace::Clock;
  static constexpr double kAnswerWait = 3;         // seconds
  static constexpr double kAttemptAge = 23;        // seconds
  static constexpr double kRecentAttemptAge = 10;  // seconds
  static constexpr double kContactAge = 60;        // seconds
  static constexpr double kRecentAge = 45;         // seconds
  static constexpr double kRefusedFor = 10;        // seconds
  static constexpr double kServiceKept = 600;      // seconds
  static constexpr double kStart = 30;             // seconds
  static constexpr std::size_t kServicesMax = 2048;
  static constexpr std::size_t kServicesKept = 1024;
  static constexpr std::size_t kCandidatesMax = 32;
  static constexpr std::size_t kContactsMax = 4096;
  static constexpr std::size_t kUdpPortsMin = 50;
  static constexpr std::uint16_t kTracePortMin = 33'000;
  static constexpr std::size_t kStreamPart = 10;

  AnswerSurvey(SourceGrouping grouping, KeyedHash hash)
      : grouping_(grouping), hash_(hash), failing_(kFailingMax, hash), refused_(kFailingMax, hash) {}

  // Null before the first survey has ended.
  std::shared_ptr<const AnswerFigures> last() const;

  // Reports a TCP connection that ended without an answer. Call it between steps.
  void NoteRefused(const FlowTracker::Refused& refused, TrackerTime tracked);

  // The kernel's table was compared as it was at `began` or later, so what is left was in it then, and not timed out:
  // an unanswered UDP entry does `udp_timeout` seconds after its last packet.
  void NoteCompared(std::int32_t began_centiseconds, double udp_timeout) {
    older_goes_on_ = SecondsBefore(udp_timeout + kTimeoutMargin, {began_centiseconds});
  }

  // True while there is more to do at once.
  bool Step(const FlowTable& flows, TrackerTime tracked, Clock::time_point now);

 private:
  static constexpr int kRestFactor = 50;
  static constexpr std::uint32_t kFailingMax = 256;
  static constexpr std::uint64_t kFailingMin = 20;  // connections, to be a candidate
  static constexpr double kTimeoutMargin = 2;       // seconds

  struct ServiceKey {
    IpAddress destination;
    std::uint16_t port = 0;
    std::uint8_t protocol = 0;
    friend bool operator==(const ServiceKey&, const ServiceKey&) = default;
  };
  struct Hash {
    KeyedHash keyed;
    std::size_t operator()(const ServiceKey& key) const;
    std::size_t operator()(const IpAddress& address) const { return keyed(std::as_bytes(std::span(address.bytes))); }
  };
  struct OfService {
    std::uint32_t attempts = 0;
    std::uint32_t unanswered = 0;
    std::uint32_t refused = 0;
    std::uint32_t recent = 0;
    std::uint32_t recent_unanswered = 0;
    std::bitset<64> sources;
    std::int32_t used_centiseconds = 0;
  };
  struct Refusals {
    std::uint32_t count = 0;
    std::bitset<64> sources;
  };
  // kStream: nothing answers, and the source goes on sending.
  enum class Outcome : std::uint8_t { kFailed, kStream, kSucceeded };
  struct Contact {
    std::int32_t made_centiseconds = 0;
    Outcome outcome = Outcome::kFailed;
    bool udp = false;
    std::uint16_t port = 0;
    std::uint64_t destination = 0;  // hashed
  };
  using Contacts = std::unordered_map<std::uint64_t, Contact>;  // by the hash of destination, port and protocol

  // On the tracker's clock, which wraps.
  static std::int32_t SecondsBefore(double seconds, TrackerTime now) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(now.centiseconds) -
                                     static_cast<std::uint32_t>(seconds * 100));
  }

  void Begin(const FlowTable& flows, TrackerTime tracked);
  void Count(const FlowKey& key, const Flow& flow);
  void CountRow(const Flow& flow, bool unanswered, bool half_open, double age);
  void CountService(const FlowKey& key, const Flow& flow, bool unanswered, double age);
  void CountContact(const FlowKey& key, const Flow& flow, double age);
  void NoteContact(const FlowKey& key, Outcome outcome, std::int32_t made_centiseconds);
  void CountRefusals();
  void ChooseCandidates();
  AnswerFigures::Candidate Describe(const IpAddress& source, Contacts& contacts) const;
  void Publish();
  bool Starts(TrackerTime tracked) const;
  bool IsStream(const Flow& flow) const;

  const SourceGrouping grouping_;
  const KeyedHash hash_;
  mutable std::mutex mutex_;
  std::shared_ptr<const AnswerFigures> last_;

  // Only Step uses these.
  std::shared_ptr<AnswerFigures> figures_;  // of the current survey; null: none
  TrackerTime tracked_{};
  std::optional<TrackerTime> started_;
  std::optional<std::int32_t> older_goes_on_;  // an unanswered UDP connection that opened before goes on
  std::unordered_map<ServiceKey, OfService, Hash> services_{0, Hash{hash_}};
  std::unordered_map<IpAddress, Contacts, Hash> candidates_{0, Hash{hash_}};
  SpaceSaving<char> failing_;  // sources by failing connections, in the current survey
  SpaceSaving<char> refused_;  // sources by refused connections, since refused_since_
  TrackerTime refused_since_{};
  // The current half of kRefusedFor, as far as it has passed, and the half before; with the start of each.
  using RefusalsByService = std::unordered_map<ServiceKey, Refusals, Hash>;
  RefusalsByService refusals_{0, Hash{hash_}};
  RefusalsByService refusals_before_{0, Hash{hash_}};
  TrackerTime refusals_since_{};
  TrackerTime refusals_before_since_{};
  SurveyPace pace_;
};

}  // namespace conntally

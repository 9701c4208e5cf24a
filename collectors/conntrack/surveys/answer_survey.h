// Who is answered, and who is not: of the connections that began lately, by their source's row, by the service they
// asked, and, for the few sources that most of the failing ones are of, by first contact.
//
// No event pays for this: like ConnectionCensus it goes through the flow table a slice at a time, between events, and
// takes no more than a fiftieth of the time. Its figures are a second old, or some with a million connections.
//
// An attempt is a connection that is kAnswerWait old, so that it could be answered, and no older than kAttemptAge. A
// TCP one in SYN_SENT is unanswered: no SYN/ACK came, and no RST. Any other is when it has seen no reply; which means
// little by itself, since much of UDP is never answered, and much where it used to be. What an RST refuses within
// kAnswerWait is an attempt as well: the kernel forgets such a connection at once, so NoteRefused tells of it, and it
// is counted, for services that are known, over kRefusedFor and as many as there would be in kAttemptAge - kAnswerWait.
//
// A first contact is a destination and port that a source reached for (Jung, Paxson, Berger, Balakrishnan 2004). It
// fails where TCP is not answered, or only by RST. Over UDP it fails only where one destination is asked on
// kUdpPortsMin ports or more without a reply: whoever scans it. What succeeded once does not fail later. A contact is
// forgotten kContactAge after it was made.
//
// Bounds: kServicesMax services (those that were asked most stay known), kCandidatesMax sources with kContactsMax
// contacts each, six bytes a row. Half open are attempts of TCP without a completed handshake: the kernel keeps them
// for a minute or two, but a flood is over when none are new.
//
// Threads: Step on the flow table's owner's; last on any.
#pragma once

#include <array>
#include <bitset>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "collectors/addresses/keyed_hash.h"
#include "collectors/conntrack/flows/flow_tracker.h"
#include "collectors/conntrack/surveys/survey_pace.h"
#include "collectors/tally/space_saving.h"

namespace conntally {

struct AnswerFigures {
  struct OfSource {
    std::uint16_t attempts = 0;  // of TCP; as many as fit
    std::uint16_t unanswered = 0;
    std::uint16_t half_open = 0;
  };
  struct Service {
    IpAddress destination;
    std::uint16_t port = 0;
    std::uint8_t protocol = 0;
    std::uint32_t attempts = 0;
    std::uint32_t unanswered = 0;
    std::uint32_t refused = 0;  // not among `attempts`
    std::uint32_t sources = 0;  // of all these; estimated, up to some 250
  };
  struct Candidate {
    IpAddress source;
    std::uint32_t failed = 0;   // first contacts
    std::uint32_t refused = 0;  // of them those that an RST answered
    std::uint32_t recent = 0;   // of them those made within kRecentAge
    std::uint32_t succeeded = 0;
    std::uint32_t destinations = 0;  // distinct among the failed, estimated
    std::uint32_t ports = 0;
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
  static constexpr double kAnswerWait = 3;   // seconds
  static constexpr double kAttemptAge = 23;  // seconds
  static constexpr double kContactAge = 60;  // seconds
  static constexpr double kRecentAge = 45;   // seconds
  static constexpr double kRefusedFor = 10;  // seconds
  static constexpr std::size_t kServicesMax = 2048;
  static constexpr std::size_t kServicesKept = 1024;
  static constexpr std::size_t kCandidatesMax = 32;
  static constexpr std::size_t kContactsMax = 4096;
  static constexpr std::size_t kUdpPortsMin = 50;

  AnswerSurvey(SourceGrouping grouping, KeyedHash hash)
      : grouping_(grouping), hash_(hash), failing_(kFailingMax, hash), refused_(kFailingMax, hash) {}

  // Null before the first survey has ended.
  std::shared_ptr<const AnswerFigures> last() const;

  // A TCP connection that ended without an answer. Between steps.
  void NoteRefused(const FlowTracker::Refused& refused, TrackerTime tracked);

  // True while there is more to do at once.
  bool Step(const FlowTable& flows, TrackerTime tracked, Clock::time_point now);

 private:
  static constexpr int kRestFactor = 50;
  static constexpr std::uint32_t kFailingMax = 256;
  static constexpr std::uint64_t kFailingMin = 20;  // connections, to be a candidate

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
    std::bitset<64> sources;
  };
  struct Refusals {
    std::uint32_t count = 0;
    std::bitset<64> sources;
  };
  enum class Outcome : std::uint8_t { kNoAnswer, kRefused, kSucceeded };
  struct Contact {
    std::int32_t made_centiseconds = 0;
    Outcome outcome = Outcome::kNoAnswer;
    bool udp = false;
    std::uint16_t port = 0;
    std::uint64_t destination = 0;  // hashed
  };
  using Contacts = std::unordered_map<std::uint64_t, Contact>;  // by the hash of destination, port and protocol

  void Begin(TrackerTime tracked);
  void Count(const FlowKey& key, const Flow& flow);
  void CountRow(const Flow& flow, bool unanswered, bool half_open);
  void CountService(const FlowKey& key, const Flow& flow, bool unanswered);
  void CountContact(const FlowKey& key, const Flow& flow, double age);
  void NoteContact(const FlowKey& key, Outcome outcome, std::int32_t made_centiseconds);
  void CountRefusals();
  void ChooseCandidates();
  AnswerFigures::Candidate Describe(const IpAddress& source, Contacts& contacts) const;
  void Publish();

  const SourceGrouping grouping_;
  const KeyedHash hash_;
  mutable std::mutex mutex_;
  std::shared_ptr<const AnswerFigures> last_;

  // Step's own.
  std::shared_ptr<AnswerFigures> figures_;  // of the survey under way; null: none
  TrackerTime tracked_{};
  std::unordered_map<ServiceKey, OfService, Hash> services_{0, Hash{hash_}};
  std::unordered_map<IpAddress, Contacts, Hash> candidates_{0, Hash{hash_}};
  SpaceSaving<char> failing_;  // sources by their failing connections, in the survey under way
  SpaceSaving<char> refused_;  // likewise by their refused ones, since refused_since_
  TrackerTime refused_since_{};
  // The last half of kRefusedFor, or the part of it that has passed, and the half before it; since when each is.
  using RefusalsByService = std::unordered_map<ServiceKey, Refusals, Hash>;
  RefusalsByService refusals_{0, Hash{hash_}};
  RefusalsByService refusals_before_{0, Hash{hash_}};
  TrackerTime refusals_since_{};
  TrackerTime refusals_before_since_{};
  SurveyPace pace_;
};

}  // namespace conntally

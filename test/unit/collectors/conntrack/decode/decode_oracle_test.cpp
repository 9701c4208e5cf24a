// Real kernel messages, and what becomes of them when they are cut or bent, against the oracle.
#include <random>
#include <set>

#include "collectors/conntrack/decode/decode.h"
#include "test/support/catch.h"
#include "test/support/conntrack_oracle.h"
#include "test/support/recording.h"

namespace conntally::test {
namespace {

const std::vector<Recording>& Recordings() {
  static const auto recordings = ReadRecordings(CONNTALLY_CONNTRACK_RECORDINGS);
  return recordings;
}

void SetLength(Buffer& message, std::size_t length) {
  const auto raw = std::bit_cast<std::array<std::byte, 4>>(static_cast<std::uint32_t>(length));
  std::copy(raw.begin(), raw.end(), message.begin());
}

}  // namespace

TEST_CASE("every recorded message is read as libnetfilter_conntrack reads it") {
  for (const Recording& recording : Recordings()) {
    INFO(recording.scenario);
    unsigned flows = 0;
    for (const Buffer& message : Messages(recording)) {
      const OracleReport report = CompareWithOracle(message);
      INFO(report.text);
      CHECK(report.comparison == Comparison::kAgreed);
      if (report.is_flow) ++flows;
    }
    CHECK(flows >= 2);
  }
}

TEST_CASE("the recordings hold new, update and destroy events and dumps of both families") {
  std::set<std::pair<EventKind, Family>> seen;
  unsigned controls = 0;
  for (const Recording& recording : Recordings())
    for (const Buffer& message : Messages(recording)) {
      FlowEvent event;
      const DecodeOutcome outcome = DecodeFlow(message, event);
      if (outcome == DecodeOutcome::kFlow) seen.insert({event.kind, event.key.family});
      if (outcome == DecodeOutcome::kControl) ++controls;
    }
  CHECK(seen.size() == 6);
  CHECK(controls == Recordings().size());  // one NLMSG_DONE a dump
}

TEST_CASE("a message cut short at any byte is refused") {
  for (const Recording& recording : Recordings())
    for (const Buffer& message : Messages(recording)) {
      FlowEvent event;
      if (DecodeFlow(message, event) != DecodeOutcome::kFlow) continue;
      for (std::size_t length = 0; length < message.size(); ++length) {
        // A vector of its own, so that the address sanitizer sees a read past the cut.
        const Buffer cut(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(length));
        REQUIRE(DecodeFlow(cut, event) == DecodeOutcome::kMalformed);
      }
    }
}

TEST_CASE("a message that claims to end at any byte is read as the oracle reads it, or refused") {
  for (const Recording& recording : Recordings())
    for (const Buffer& message : Messages(recording))
      for (std::size_t length = 16; length < message.size(); ++length) {
        Buffer cut(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(length));
        SetLength(cut, length);
        const OracleReport report = CompareWithOracle(cut);
        INFO(recording.scenario << " cut to " << length << ": " << report.text);
        REQUIRE(report.comparison != Comparison::kDisagreed);
      }
}

TEST_CASE("no bent byte makes us differ from the oracle") {
  std::mt19937 random(1);
  for (const Recording& recording : Recordings())
    for (const Buffer& message : Messages(recording))
      for (std::size_t at = 0; at < message.size(); ++at) {
        Buffer bent = message;
        bent[at] = static_cast<std::byte>(random());
        const OracleReport report = CompareWithOracle(bent);
        INFO(recording.scenario << " byte " << at << ": " << report.text);
        REQUIRE(report.comparison != Comparison::kDisagreed);
      }
}

TEST_CASE("alignment does not matter") {
  for (const Recording& recording : Recordings())
    for (const Buffer& message : Messages(recording)) {
      FlowEvent aligned;
      const DecodeOutcome outcome = DecodeFlow(message, aligned);
      for (std::size_t shift = 1; shift < 8; ++shift) {
        Buffer moved(shift);
        moved.insert(moved.end(), message.begin(), message.end());
        FlowEvent event;
        REQUIRE(DecodeFlow(Bytes(moved).subspan(shift), event) == outcome);
        REQUIRE(event.key == aligned.key);
        REQUIRE(event.id == aligned.id);
        REQUIRE(event.start_ns == aligned.start_ns);
      }
    }
}

TEST_CASE("bytes beyond nlmsg_len are not read") {
  for (const Recording& recording : Recordings())
    for (Buffer message : Messages(recording)) {
      FlowEvent before, after;
      const DecodeOutcome outcome = DecodeFlow(message, before);
      message.insert(message.end(), 64, std::byte{0xff});
      REQUIRE(DecodeFlow(message, after) == outcome);
      REQUIRE(before.key == after.key);
      REQUIRE(before.status == after.status);
    }
}

}  // namespace conntally::test

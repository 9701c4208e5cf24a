// Decoding, against what the kernel said (test/golden/rules/*.bin) and what it means (*.txt, looked over by people).
#include <fstream>

#include "test/support/catch.h"
#include "test/support/message_builder.h"
#include "test/unit/collectors/rules/recorded.h"

using namespace conntally;
using namespace conntally::test;

namespace {

bool IsLegacy(const Recording& recording) { return recording.scenario.find("legacy") != std::string::npos; }
RuleFamily FamilyOf(const Recording& recording) {
  return recording.scenario.starts_with("ip6") ? RuleFamily::kIp6 : RuleFamily::kIp;
}

std::vector<Recording> Recorded() {
  std::vector<Recording> recordings;
  for (const auto& entry : std::filesystem::directory_iterator(CONNTALLY_RULE_RECORDINGS)) {
    if (entry.path().extension() == ".bin") recordings.push_back(ReadRecording(entry.path()));
  }
  return recordings;
}

void DecodeAnything(Bytes message) {
  static const NftSetContents kNoSets;
  (void)DecodeNftGeneration(message);
  (void)DecodeNftTable(message);
  (void)DecodeNftChain(message);
  (void)DecodeNftSet(message);
  (void)DecodeNftObject(message);
  if (const auto elements = DecodeNftElements(message)) {
    (void)RangesOf(*elements, true);
    (void)RangesOf(*elements, false);
  }
  if (const auto rule = DecodeNftRule(message)) {
    (void)DecodeRule(*rule, kNoSets);
    (void)CountOf(*rule);
    (void)WithoutCounts(rule->expressions);
  }
}

}  // namespace

TEST_CASE("recorded rules are read as what they say") {
  REQUIRE(Recorded().size() == 5);
  for (const Recording& recording : Recorded()) {
    std::ifstream file(std::string(CONNTALLY_RULE_RECORDINGS) + "/" + recording.scenario + ".txt");
    std::vector<std::string> expected;
    for (std::string line; std::getline(file, line);) expected.push_back(line);
    INFO(recording.scenario);
    CHECK((IsLegacy(recording) ? LinesOfLegacy(recording, FamilyOf(recording)) : LinesOfNft(recording)) == expected);
  }
}

TEST_CASE("a key of a rule's text leaves out what packets change") {
  for (const Recording& recording : Recorded()) {
    if (IsLegacy(recording)) continue;
    for (Buffer message : Messages(recording)) {
      const auto rule = DecodeNftRule(message);
      if (!rule || !CountOf(*rule).counter) continue;
      const auto before = WithoutCounts(rule->expressions);
      // A counter holds its packets as eight bytes in network order.
      const auto counts = CountOf(*rule).counter->packets;
      const Buffer wanted = NetworkBytes(counts);
      auto at = std::search(message.begin(), message.end(), wanted.begin(), wanted.end());
      if (counts == 0 || at == message.end()) continue;
      *(at + 7) = static_cast<std::byte>(std::to_integer<unsigned>(*(at + 7)) + 1);
      const auto changed = DecodeNftRule(message);
      REQUIRE(changed);
      CHECK(CountOf(*changed).counter->packets == counts + 1);
      CHECK(WithoutCounts(changed->expressions) == before);
    }
  }
}

TEST_CASE("a recording cut short or spoilt anywhere is read without fault") {
  for (const Recording& recording : Recorded()) {
    if (IsLegacy(recording)) {
      for (std::size_t at = 0; at < recording.datagrams[1].size(); at += 3) {
        Recording spoilt = recording;
        spoilt.datagrams[1].resize(at);
        (void)DecodeRecorded(spoilt, FamilyOf(recording));
        spoilt.datagrams[1] = recording.datagrams[1];
        spoilt.datagrams[1][at] ^= std::byte{0xff};
        (void)DecodeRecorded(spoilt, FamilyOf(recording));
      }
      continue;
    }
    for (const Buffer& message : Messages(recording)) {
      for (std::size_t at = 0; at < message.size(); ++at) {
        Buffer spoilt(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(at));
        DecodeAnything(spoilt);
        spoilt = message;
        spoilt[at] ^= std::byte{0xff};
        DecodeAnything(spoilt);
      }
    }
  }
}

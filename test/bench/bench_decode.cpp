// ns per message of DecodeFlow and of libnetfilter_conntrack, over the recorded kernel messages: the
// median of many rounds, one row a recording.
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>

#include <chrono>
#include <cstdio>

#include "collectors/conntrack/decode/decode.h"
#include "test/support/recording.h"

namespace {

using namespace conntally;
using namespace conntally::test;

template <typename Call>
double MedianNanoseconds(const std::vector<Buffer>& messages, Call call) {
  using Clock = std::chrono::steady_clock;
  constexpr unsigned kRounds = 201;
  const std::size_t passes = 20'000 / messages.size() + 1;
  std::vector<double> rounds;
  for (unsigned round = 0; round < kRounds; ++round) {
    const auto start = Clock::now();
    for (std::size_t pass = 0; pass < passes; ++pass)
      for (const Buffer& message : messages) call(message);
    const std::chrono::duration<double, std::nano> taken = Clock::now() - start;
    rounds.push_back(taken.count() / static_cast<double>(passes * messages.size()));
  }
  std::nth_element(rounds.begin(), rounds.begin() + kRounds / 2, rounds.end());
  return rounds[kRounds / 2];
}

void DecodeOnce(const Buffer& message) {
  FlowEvent event;
  const DecodeOutcome outcome = DecodeFlow(message, event);
  asm volatile("" : : "r"(&event), "r"(outcome) : "memory");
}

// The object is reused, as a careful user of the library would.
void ParseOnce(nf_conntrack* conntrack, const Buffer& message) {
  const int result = nfct_nlmsg_parse(reinterpret_cast<const nlmsghdr*>(message.data()), conntrack);
  asm volatile("" : : "r"(conntrack), "r"(result) : "memory");
}

void Row(const char* name, const std::vector<Buffer>& messages) {
  std::size_t bytes = 0;
  for (const Buffer& message : messages) bytes += message.size();
  nf_conntrack* conntrack = nfct_new();
  const double ours = MedianNanoseconds(messages, DecodeOnce);
  const double theirs = MedianNanoseconds(messages, [&](const Buffer& message) { ParseOnce(conntrack, message); });
  nfct_destroy(conntrack);
  std::printf("%-18s %8zu %8zu %10.1f %12.1f\n", name, messages.size(), bytes / messages.size(), ours, theirs);
}

}  // namespace

int main() {
  std::printf("%-18s %8s %8s %10s %12s\n", "recording", "messages", "bytes", "decode ns", "library ns");
  std::vector<Buffer> all;
  for (const Recording& recording : ReadRecordings(CONNTALLY_CONNTRACK_RECORDINGS)) {
    std::vector<Buffer> flows;
    for (const Buffer& message : Messages(recording)) {
      FlowEvent event;
      if (DecodeFlow(message, event) == DecodeOutcome::kFlow) flows.push_back(message);
    }
    Row(recording.scenario.c_str(), flows);
    all.insert(all.end(), flows.begin(), flows.end());
  }
  Row("all", all);
  return 0;
}

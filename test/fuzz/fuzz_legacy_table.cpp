// Any bytes as a legacy table: a family, struct ipt_getinfo, entries. Changed as entries with matches and a target,
// whose lengths and whose hooks' places are set right again.
//
//   build/fuzz/test/fuzz/fuzz_legacy_table -max_len=8192 build/fuzz/test/fuzz/corpus/legacy_table
#include <cstdlib>

#include "collectors/rules/iptables/legacy_blob.h"
#include "collectors/rules/ruleset_finish.h"
#include "collectors/rules/text/described_rule.h"
#include "test/fuzz/legacy_mutator.h"

using namespace conntally;

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  return fuzz::MutateLegacyTable(data, size, size_max, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 + sizeof(LegacyInfo)) return 0;
  const RuleFamily family = (data[0] & 1) != 0 ? RuleFamily::kIp6 : RuleFamily::kIp;
  LegacyInfo info;
  std::memcpy(&info, data + 1, sizeof info);
  const Bytes entries = std::as_bytes(std::span(data, size)).subspan(1 + sizeof info);
  const std::vector<std::size_t> offsets = LegacyCounterOffsets(family, entries);
  for (const std::size_t offset : offsets) (void)LoadLegacyCounter(entries, offset);
  for (const char* name : {"filter", "nat"}) {
    auto table = DecodeLegacyTable(name, family, info, entries);
    if (!table) continue;
    if (table->rules.size() != table->counter_offsets.size() || table->chains.size() != table->policy_offsets.size())
      std::abort();
    Ruleset ruleset;
    ruleset.chains = std::move(table->chains);
    ruleset.rules = std::move(table->rules);
    FinishRuleset(ruleset);
    for (std::size_t i = 0; i < ruleset.rules.size(); ++i) {
      const std::size_t offset = table->counter_offsets[i];
      if (std::find(offsets.begin(), offsets.end(), offset) == offsets.end()) std::abort();
      if (DescribeLegacyRule(ruleset.rules[i], LegacyEntryOf(family, entries, offset)).empty() &&
          !ruleset.rules[i].fully_understood)
        std::abort();
    }
  }
  return 0;
}

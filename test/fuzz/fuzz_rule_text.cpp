// Any text as what the firewall's tools print of rules: nothing that is no rule's text comes out of it.
//
//   build/fuzz/test/fuzz/fuzz_rule_text -dict=test/fuzz/rule_text.dict WORK_FOLDER test/fuzz/corpus/rule_text
#include <cstdlib>
#include <string_view>

#include "collectors/rules/rule_counters.h"
#include "collectors/rules/text/rule_texts.h"
#include "collectors/system/shown_text.h"

namespace {

using namespace conntally;

void Require(bool holds) {
  if (!holds) std::abort();
}

void Check(const std::string& text, std::size_t listing_bytes) {
  Require(text.size() <= listing_bytes);
  const std::string label = RuleLabel(text);
  Require(label.size() <= 200);
  for (std::string_view rest = label; !rest.empty(); rest.remove_prefix(Utf8Length(rest)))
    Require(Utf8Length(rest) != 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view listing(reinterpret_cast<const char*>(data), size);
  for (const auto& [table, texts] : ParseNftListing(listing)) {
    for (const auto& [handle, text] : texts) Check(text, size);
  }
  std::size_t bytes = 0;
  for (const auto& [place, texts] : ParseSaveListing(listing)) {
    for (const std::string& text : texts) {
      Check(text, size);
      bytes += text.size();
    }
  }
  Require(bytes <= size);
  return 0;
}

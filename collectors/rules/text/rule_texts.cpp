#include "collectors/rules/text/rule_texts.h"

#include <nftables/libnftables.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>

#include "collectors/rules/text/subprocess.h"

namespace conntally {
namespace {

std::string_view Trimmed(std::string_view line) {
  const auto begin = line.find_first_not_of(" \t");
  if (begin == line.npos) return {};
  return line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
}

// The handle in "... # handle 12", which is removed from the line.
std::uint64_t TakeHandle(std::string_view& line) {
  constexpr std::string_view kMark = " # handle ";
  const auto at = line.rfind(kMark);
  if (at == line.npos) return 0;
  const std::string_view digits = line.substr(at + kMark.size());
  std::uint64_t handle = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), handle);
  if (error != std::errc{} || end != digits.data() + digits.size()) return 0;
  line = line.substr(0, at);
  return handle;
}

enum class Quoting {
  kNft,   // a quote ends at the next one
  kSave,  // as xtables_save_string writes a word: quotes in it follow a backslash
};

// The most in a quoted word: comments, prefixes and patterns are far shorter. An unmatched quote ends with its line.
constexpr std::size_t kQuotedBytesMax = 4096;

// The end of the first line of `text`: a newline in quotes is part of the line.
std::size_t LineEnd(std::string_view text, Quoting quoting) {
  const std::size_t first = text.find('\n');
  std::size_t at = 0;
  if (quoting == Quoting::kSave) {
    if (!text.starts_with("-A ")) return first;
    at = std::min(text.find(' ', 3), first);  // a chain's name is not quoted
  }
  bool quoted = false;
  for (; at < text.size() && (first == text.npos || at < first + kQuotedBytesMax); ++at) {
    const char c = text[at];
    if (c == '\n') {
      // nft writes a log prefix of iptables unescaped, with quotes.
      std::string_view line = text.substr(0, at);
      if (!quoted || (quoting == Quoting::kNft && text.substr(at + 1).starts_with('\t') && TakeHandle(line) != 0))
        return at;
    } else if (quoting == Quoting::kNft) {
      if (c == '"') quoted = !quoted;
    } else if (c == '"') {
      quoted = !quoted && text[at - 1] == ' ';
    } else if (c == '\\' && quoted) {
      ++at;
    }
  }
  return quoted ? first : text.npos;
}

template <typename Visit>
void ForEachLine(std::string_view text, Quoting quoting, Visit visit) {
  while (!text.empty()) {
    const auto end = LineEnd(text, quoting);
    visit(text.substr(0, end));
    if (end == text.npos) break;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

std::map<std::string, NftTexts> ParseNftListing(std::string_view listing) {
  std::map<std::string, NftTexts> tables;
  NftTexts* texts = &tables[std::string()];
  bool in_chain = false;
  std::string pending;  // a rule that spans several lines
  ForEachLine(listing, Quoting::kNft, [&](std::string_view raw) {
    std::string_view line = Trimmed(raw);
    if (!in_chain) {
      // "table inet NAME { # handle 1", "chain NAME { # handle 1"; lines of sets and objects are ignored.
      if (line.starts_with("table ") && line.find('{') != line.npos) {
        const std::string_view place = line.substr(0, line.find(" {"));
        texts = &tables[std::string(place.substr(place.rfind(' ') + 1))];
      }
      in_chain = line.starts_with("chain ") && line.find('{') != line.npos;
      pending.clear();
      return;
    }
    if (line == "}" && pending.empty()) {
      in_chain = false;
      return;
    }
    const std::uint64_t handle = TakeHandle(line);
    if (handle != 0) {
      pending += line;
      (*texts)[handle] = std::move(pending);
      pending.clear();
    } else if (line.starts_with("type ") && line.find(" hook ") != line.npos) {
      pending.clear();
    } else if (!line.empty() && !line.starts_with("comment \"") && !line.starts_with("#")) {
      pending += line;
      pending += ' ';
    }
  });
  return tables;
}

SaveTexts ParseSaveListing(std::string_view listing) {
  SaveTexts texts;
  std::string table;
  ForEachLine(listing, Quoting::kSave, [&](std::string_view line) {
    if (line.starts_with('*')) {
      table = line.substr(1);
    } else if (line.starts_with("-A ")) {
      line.remove_prefix(3);
      const auto end = line.find(' ');
      const std::string chain(line.substr(0, end));
      texts[{table, chain}].emplace_back(end == line.npos ? std::string_view() : line.substr(end + 1));
    }
  });
  return texts;
}

// Not table by table: before it lists one, libnftables 1.0.6 reads the elements of all sets, terse or not, which takes
// seconds for 100,000 elements.
Result<std::map<std::string, NftTexts>> ListNftTables(RuleFamily family) {
  const std::unique_ptr<nft_ctx, decltype(&nft_ctx_free)> context(nft_ctx_new(NFT_CTX_DEFAULT), nft_ctx_free);
  if (!context) return Error{"cannot start libnftables"};
  nft_ctx_set_dry_run(context.get(), true);  // it may only list
  // Terse: without elements of named sets, which are many and not needed.
  nft_ctx_output_set_flags(context.get(), NFT_CTX_OUTPUT_HANDLE | NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_TERSE);
  nft_ctx_buffer_output(context.get());
  nft_ctx_buffer_error(context.get());
  const std::string command = std::string("list ruleset ") + NameOf(family);
  if (nft_run_cmd_from_buffer(context.get(), command.c_str()) != 0) {
    const std::string_view why = nft_ctx_get_error_buffer(context.get());
    return Error{"libnftables cannot " + command + ": " + std::string(why.substr(0, why.find('\n')))};
  }
  return ParseNftListing(nft_ctx_get_output_buffer(context.get()));
}

Result<SaveTexts> ListSaved(SaveTool tool) {
  constexpr std::size_t kOutputBytesMax = 256U << 20U;
  constexpr auto kPatience = std::chrono::seconds(20);
  const char* name = tool == SaveTool::kIptablesNft      ? "iptables-nft-save"
                     : tool == SaveTool::kIp6tablesNft   ? "ip6tables-nft-save"
                     : tool == SaveTool::kIptablesLegacy ? "iptables-legacy-save"
                                                         : "ip6tables-legacy-save";
  const auto output = OutputOf(name, {kOutputBytesMax, kPatience});
  if (!output) return output.error();
  return ParseSaveListing(*output);
}

}  // namespace conntally

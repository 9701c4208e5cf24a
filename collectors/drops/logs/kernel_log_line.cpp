#include "collectors/drops/logs/kernel_log_line.h"

#include <netinet/in.h>

#include <array>
#include <charconv>
#include <utility>

namespace conntally {
namespace {

template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

// Takes the text before `separator`, and the separator; everything if there is none.
std::string_view TakeUntil(std::string_view& rest, char separator) {
  const auto at = rest.find(separator);
  const std::string_view taken = rest.substr(0, at);
  rest.remove_prefix(at == rest.npos ? rest.size() : at + 1);
  return taken;
}

std::optional<std::uint8_t> ParseProtocol(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, std::uint8_t>, 8> kNames = {{{"TCP", IPPROTO_TCP},
                                                                                       {"UDP", IPPROTO_UDP},
                                                                                       {"UDPLITE", IPPROTO_UDPLITE},
                                                                                       {"ICMP", IPPROTO_ICMP},
                                                                                       {"ICMPv6", IPPROTO_ICMPV6},
                                                                                       {"AH", IPPROTO_AH},
                                                                                       {"ESP", IPPROTO_ESP},
                                                                                       {"SCTP", IPPROTO_SCTP}}};
  for (const auto& [name, number] : kNames) {
    if (name == text) return number;
  }
  return ParseNumber<std::uint8_t>(text);
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Decodes the kernel's escapes (\x5c); bytes that cannot be shown become question marks.
std::string ReadPrefix(std::string_view text) {
  std::string prefix;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char letter = text[i];
    if (letter == '\\' && i + 3 < text.size() && text[i + 1] == 'x' && HexDigit(text[i + 2]) >= 0 &&
        HexDigit(text[i + 3]) >= 0) {
      letter = static_cast<char>(HexDigit(text[i + 2]) * 16 + HexDigit(text[i + 3]));
      i += 3;
    }
    prefix += letter >= ' ' && letter <= '~' ? letter : '?';
  }
  const auto last = prefix.find_last_not_of(' ');
  prefix.resize(last == prefix.npos ? 0 : last + 1);
  return prefix;
}

// A packet with only an incoming device is on its way in, with only an outgoing one on its way out.
HookSet HooksOf(bool comes_in, bool goes_out) {
  if (comes_in && goes_out) return HookSet(HookSet::kForward | HookSet::kPostrouting | HookSet::kDevice);
  if (comes_in) return HookSet(HookSet::kPrerouting | HookSet::kInput | HookSet::kDevice);
  return HookSet(HookSet::kOutput | HookSet::kPostrouting | HookSet::kDevice);
}

}  // namespace

std::optional<KernelLogRecord> ParseKernelLogRecord(std::string_view record) {
  constexpr unsigned kLevels = 8;  // the priority is facility * 8 + level; the kernel's facility is 0
  const auto semicolon = record.find(';');
  if (semicolon == record.npos) return std::nullopt;
  std::string_view fields = record.substr(0, semicolon);
  const auto priority = ParseNumber<unsigned>(TakeUntil(fields, ','));
  const auto sequence = ParseNumber<std::uint64_t>(TakeUntil(fields, ','));
  const auto since_boot = ParseNumber<std::uint64_t>(TakeUntil(fields, ','));
  if (!priority || !sequence) return std::nullopt;
  std::string_view text = record.substr(semicolon + 1);
  text = TakeUntil(text, '\n');
  return KernelLogRecord{*sequence, since_boot.value_or(0), *priority < kLevels, text};
}

std::optional<LoggedPacket> ParseLogLine(std::string_view text) {
  // The prefix is from the rule, and may contain anything; the rest is from the kernel.
  const auto out = text.find(" OUT=");
  if (out == text.npos) return std::nullopt;
  const auto in = text.rfind("IN=", out);
  if (in == text.npos || text.substr(in, out - in).find(' ') != text.npos) return std::nullopt;
  std::string_view rest = text.substr(out + 1);
  LoggedPacket packet;
  packet.via = DropVia::kLog;
  packet.in_interface = text.substr(in + 3, out - in - 3);
  bool has_source = false;
  bool has_protocol = false;
  while (!rest.empty()) {
    const std::string_view word = TakeUntil(rest, ' ');
    if (word.starts_with('[')) break;  // the packet within an ICMP error
    const auto equals = word.find('=');
    if (equals == word.npos) continue;
    const std::string_view name = word.substr(0, equals);
    const std::string_view value = word.substr(equals + 1);
    if (name == "OUT") packet.out_interface = value;
    if (name == "SRC" && !has_source) {
      const auto source = IpAddress::Parse(value);
      if (!source) return std::nullopt;
      packet.key.source = *source;
      has_source = true;
    }
    if (name == "DST" && !packet.key.destination) packet.key.destination = IpAddress::Parse(value);
    if (name == "TYPE" && has_protocol) packet.key.icmp_type = ParseNumber<std::uint8_t>(value);
    if (name == "PROTO" && !has_protocol) {
      const auto protocol = ParseProtocol(value);
      if (!protocol) return std::nullopt;
      packet.key.protocol = *protocol;
      has_protocol = true;
    }
    if (name == "DPT") packet.key.destination_port = ParseNumber<std::uint16_t>(value).value_or(0);
  }
  if (!has_source) return std::nullopt;
  packet.prefix = ReadPrefix(text.substr(0, in));
  packet.key.hooks = HooksOf(!packet.in_interface.empty(), !packet.out_interface.empty());
  return packet;
}

std::optional<TableFullLine> ParseTableFullLine(std::string_view text) {
  // Not "nf_conntrack: expectation table full", which is another table.
  constexpr std::string_view kFull = "conntrack: table full", kNamespace = " in netns ";
  const auto full = text.find(kFull);
  if (full == text.npos) return std::nullopt;
  std::string_view rest = text.substr(full + kFull.size());
  if (!rest.starts_with(kNamespace)) return TableFullLine{};
  rest.remove_prefix(kNamespace.size());
  return TableFullLine{ParseNumber<std::uint64_t>(TakeUntil(rest, ',')).value_or(0)};
}

}  // namespace conntally

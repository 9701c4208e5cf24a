#include "daemon/command_line/grammar/flag_values.h"

#include <array>
#include <charconv>

#include "config/notation/address_notation.h"
#include "config/notation/notation.h"

namespace conntally {

std::optional<IpAddress> ReadAddress(std::string_view flag, const std::string& text, std::string& problem) {
  const auto address = ParseAddress(text);
  if (address) return *address;
  problem = std::string(flag) + ": " + address.error().message + "; allowed: an IPv4 or IPv6 address";
  return std::nullopt;
}

std::optional<std::uint64_t> ReadNumber(const std::string& text, std::uint64_t least, std::uint64_t most) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < least || number > most) return std::nullopt;
  return number;
}

std::optional<std::uint8_t> ReadProtocol(const std::string& text, std::string& problem) {
  constexpr std::array kProtocols = {Choice<std::uint8_t>{"tcp", 6},
                                     Choice<std::uint8_t>{"udp", 17},
                                     Choice<std::uint8_t>{"icmp", 1},
                                     Choice<std::uint8_t>{"icmpv6", 58},
                                     Choice<std::uint8_t>{"ipv6-icmp", 58, true},
                                     Choice<std::uint8_t>{"sctp", 132},
                                     Choice<std::uint8_t>{"dccp", 33},
                                     Choice<std::uint8_t>{"gre", 47},
                                     Choice<std::uint8_t>{"esp", 50},
                                     Choice<std::uint8_t>{"udplite", 136}};
  std::string lower = text;
  for (char& letter : lower) letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  if (const auto named = FindChoice(kProtocols, lower)) return *named;
  if (const auto number = ReadNumber(text, 0, 255)) return static_cast<std::uint8_t>(*number);
  problem = "--protocol: " + Quoted(text) + " is unknown; allowed: " + DescribeChoices(kProtocols) +
            ", or a number up to 255";
  return std::nullopt;
}

}  // namespace conntally

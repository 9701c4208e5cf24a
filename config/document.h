// Parses a YAML text into a small tree in which every node has its line and column. Pure; any thread.
//
// The only user of yaml-cpp. It uses yaml-cpp's events instead of its nodes, so that duplicate keys stay visible, and
// dangerous YAML (aliases, tags, deep nesting, several documents) is refused while parsing.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/fault.h"

namespace conntally::config {

inline constexpr std::size_t kDocumentBytesMax = std::size_t{1} << 20;
inline constexpr std::size_t kDocumentDepthMax = 16;
inline constexpr std::size_t kDocumentNodesMax = 100'000;

struct Place {
  std::size_t line = 1;
  std::size_t column = 1;
};

struct Node {
  enum class Kind { kNull, kScalar, kSequence, kMap };

  Kind kind = Kind::kNull;
  Place place;
  std::string text;         // a scalar's, without its quotes
  std::vector<Node> items;  // a sequence's or a map's values
  std::vector<Node> keys;   // a map's, one for each of `items`; duplicates are kept
};

// A text without a document gives a null node.
std::variant<Node, ConfigFault> ParseDocument(std::string_view yaml);

}  // namespace conntally::config

#include "config/document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <exception>
#include <optional>
#include <sstream>
#include <utility>

#include "collectors/system/shown_text.h"
#include "config/notation/notation.h"

namespace conntally::config {
namespace {

constexpr std::string_view kNoReferences =
    "anchors (&) and aliases (*) are not supported; write the value out, in quotes if it begins so";

Place PlaceOf(const YAML::Mark& mark) {
  // yaml-cpp counts from 0; its null mark is -1.
  const auto from_one = [](int counted) {
    return counted < 0 ? std::size_t{1} : static_cast<std::size_t>(counted) + 1;
  };
  return {from_one(mark.line), from_one(mark.column)};
}

// Our event handler throws it out of yaml-cpp's parser; the caller of the parser catches it.
struct Refusal {
  Place place;
  std::string reason;
};

std::vector<std::string_view> SplitLines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (true) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == text.npos) return lines;
    text.remove_prefix(end + 1);
  }
}

// yaml-cpp places an absent entry of a block list at the token after it, often lines further down. Its own
// place is the last dash before that.
Place FindDashBefore(Place place, const std::vector<std::string_view>& lines) {
  for (std::size_t line = std::min(place.line, lines.size()); line > 0; --line) {
    std::string_view text = lines[line - 1];
    if (line == place.line) text = text.substr(0, place.column - 1);
    const std::size_t first = text.find_first_not_of(' ');
    if (first != text.npos && text[first] == '-') return {line, first + 1};
  }
  return place;
}

class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::string_view text) : lines_(SplitLines(text)) {}

  Node TakeRoot() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw Refusal{PlaceOf(mark), "a second document begins here; allowed: one document"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(Start(Node::Kind::kNull, mark, "", anchor));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { RefuseReference(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node scalar = Start(Node::Kind::kScalar, mark, tag, anchor);
    scalar.text = value;
    Add(std::move(scalar));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    Open(Start(Node::Kind::kSequence, mark, tag, anchor), style == YAML::EmitterStyle::Block);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(Start(Node::Kind::kMap, mark, tag, anchor), false);
  }
  void OnMapEnd() override { Close(); }

 private:
  [[noreturn]] static void RefuseReference(const YAML::Mark& mark) {
    throw Refusal{PlaceOf(mark), std::string(kNoReferences)};
  }

  Node Start(Node::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) RefuseReference(mark);
    // "?" and "!" are what yaml-cpp gives plain and quoted values.
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw Refusal{PlaceOf(mark), "tags (!) are not supported; write the value alone, in quotes if it begins so"};
    }
    if (++nodes_ > kDocumentNodesMax) {
      throw Refusal{PlaceOf(mark), "too many values; allowed: up to " + std::to_string(kDocumentNodesMax)};
    }
    Node node;
    node.kind = kind;
    node.place = PlaceOf(mark);
    return node;
  }

  void Open(Node node, bool is_block_list) {
    if (open_.size() == kDocumentDepthMax) {
      throw Refusal{node.place, "nested too deeply; allowed: up to " + std::to_string(kDocumentDepthMax) + " levels"};
    }
    open_.push_back({std::move(node), is_block_list});
  }

  void Close() {
    Node node = std::move(open_.back().node);
    open_.pop_back();
    Add(std::move(node));
  }

  void Add(Node node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Node& parent = open_.back().node;
    if (parent.kind == Node::Kind::kMap && parent.keys.size() == parent.items.size()) {
      parent.keys.push_back(std::move(node));
      return;
    }
    // An absent value in a map is also misplaced: use its key's place.
    if (node.kind == Node::Kind::kNull) {
      if (parent.kind == Node::Kind::kMap) node.place = parent.keys.back().place;
      if (open_.back().is_block_list && !IsWrittenNull(node.place)) node.place = FindDashBefore(node.place, lines_);
    }
    parent.items.push_back(std::move(node));
  }

  bool IsWrittenNull(const Place& place) const {
    if (place.line > lines_.size() || place.column > lines_[place.line - 1].size()) return false;
    const std::string_view rest = lines_[place.line - 1].substr(place.column - 1);
    const std::string_view word = rest.substr(0, rest.find_first_of(" \t\r:#"));
    return word == "~" || word == "null" || word == "Null" || word == "NULL";
  }

  struct OpenNode {
    Node node;
    bool is_block_list;
  };

  std::vector<std::string_view> lines_;
  Node root_;
  std::vector<OpenNode> open_;
  std::size_t nodes_ = 0;
  int documents_ = 0;
};

struct Explanation {
  std::string_view error;
  std::string_view words;
};

// Rewords yaml-cpp's errors for the most common mistakes.
std::string Reword(const std::string& error) {
  static const std::array explanations = {
      Explanation{YAML::ErrorMsg::MAP_VALUE, "a ':' where no value can stand; a text that has ': ' in it needs quotes"},
      Explanation{YAML::ErrorMsg::END_OF_MAP, "a key that does not line up with those above it, or has no ':'"},
      Explanation{YAML::ErrorMsg::END_OF_SEQ, "an entry that does not line up with those above it, or has no '-'"},
      Explanation{YAML::ErrorMsg::END_OF_MAP_FLOW, "a '{' whose '}' is missing"},
      Explanation{YAML::ErrorMsg::END_OF_SEQ_FLOW, "a '[' whose ']' is missing"},
      Explanation{YAML::ErrorMsg::FLOW_END, "a ']' or '}' that nothing opened"},
      Explanation{YAML::ErrorMsg::EOF_IN_SCALAR, "a quote that is not closed"},
      Explanation{YAML::ErrorMsg::UNKNOWN_TOKEN, "a value cannot begin so; quote it"},
      Explanation{YAML::ErrorMsg::UNKNOWN_ANCHOR, kNoReferences},
  };
  const auto* known = std::find_if(explanations.begin(), explanations.end(),
                                   [&](const Explanation& each) { return each.error == error; });
  if (known != explanations.end()) return std::string(known->words);
  // Some errors end with an arbitrary byte of the text.
  std::string message = error;
  std::replace_if(
      message.begin(), message.end(), [](char c) { return IsControl(c) || static_cast<unsigned char>(c) >= 0x80; },
      '?');
  return message;
}

ConfigFault Explain(const YAML::Exception& error, std::string_view yaml) {
  const Place place = PlaceOf(error.mark);
  // yaml-cpp reports a tab in the indentation later in the line, as another error.
  const auto lines = SplitLines(yaml);
  const std::string_view line = place.line <= lines.size() ? lines[place.line - 1] : std::string_view();
  const std::size_t tab = line.substr(0, line.find_first_not_of(" \t")).find('\t');
  if (tab != line.npos) {
    return {place.line, tab + 1, "this is not YAML: a tab in the indentation; allowed: spaces"};
  }
  return {place.line, place.column, "this is not YAML: " + Reword(error.msg)};
}

// Finds bytes that yaml-cpp would misread or pass on: it takes NUL for the end, and does not check UTF-8.
std::optional<ConfigFault> FindForeignByte(std::string_view text) {
  Place place;
  while (!text.empty()) {
    const std::size_t length = Utf8Length(text);
    if (length == 0) return ConfigFault{place.line, place.column, "this is not UTF-8; allowed: UTF-8 text"};
    const char first = text.front();
    if (IsControl(first) && first != '\t' && first != '\n' && first != '\r') {
      return ConfigFault{place.line, place.column, "a control character; allowed: printable UTF-8 text"};
    }
    place = first == '\n' ? Place{place.line + 1, 1} : Place{place.line, place.column + length};
    text.remove_prefix(length);
  }
  return std::nullopt;
}

}  // namespace

std::variant<Node, ConfigFault> ParseDocument(std::string_view yaml) {
  if (yaml.size() > kDocumentBytesMax) {
    return ConfigFault{1, 1, "the text is too long; allowed: up to " + std::to_string(kDocumentBytesMax) + " bytes"};
  }
  if (auto fault = FindForeignByte(yaml)) return *std::move(fault);
  try {
    std::istringstream stream{std::string(yaml)};
    YAML::Parser parser(stream);
    TreeBuilder builder(yaml);
    while (parser.HandleNextDocument(builder)) {
    }
    return builder.TakeRoot();
  } catch (const Refusal& refusal) {
    return ConfigFault{refusal.place.line, refusal.place.column, refusal.reason};
  } catch (const YAML::Exception& error) {
    return Explain(error, yaml);
  } catch (const std::exception& error) {
    return ConfigFault{1, 1, std::string("this cannot be read as YAML: ") + error.what()};
  }
}

}  // namespace conntally::config

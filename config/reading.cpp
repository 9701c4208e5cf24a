#include "config/reading.h"

#include <algorithm>
#include <tuple>

#include "config/notation/nearest.h"
#include "config/notation/notation.h"

namespace conntally::config {
namespace {

constexpr std::size_t kFaultsMax = 1000;

std::string_view Describe(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::kNull: return "there is no value";
    case Node::Kind::kScalar: return "this is a plain value";
    case Node::Kind::kSequence: return "this is a list";
    case Node::Kind::kMap: return "this is a map";
  }
  return "";
}

std::string Join(const std::vector<std::string>& words) {
  std::string joined;
  for (const std::string& word : words) joined.append(joined.empty() ? "" : ", ").append(word);
  return joined;
}

std::string_view LastName(std::string_view key) { return key.substr(key.rfind('.') + 1); }

}  // namespace

Reading::Inside::Inside(Reading& reading, std::string_view name)
    : reading_(reading), outer_size_(reading.path_.size()) {
  if (!reading.path_.empty()) reading.path_.push_back('.');
  reading.path_.append(name);
}

Reading::Inside::Inside(Reading& reading, std::size_t index) : reading_(reading), outer_size_(reading.path_.size()) {
  reading.path_.append("[").append(std::to_string(index)).append("]");
}

void Reading::Fault(const Node& at, std::string_view message) {
  if (faults_.size() == kFaultsMax) {
    faults_left_out_ = true;
    return;
  }
  const std::string_view path = path_.empty() ? "the file" : std::string_view(path_);
  faults_.push_back({at.place.line, at.place.column, std::string(path).append(": ").append(message)});
}

std::vector<ConfigFault> Reading::TakeFaultsInOrder() {
  const auto is_before = [](const ConfigFault& a, const ConfigFault& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  };
  std::stable_sort(faults_.begin(), faults_.end(), is_before);
  if (faults_left_out_) faults_.back().message += " (and more faults, left out here)";
  return std::move(faults_);
}

bool Reading::ExpectMap(const Node& node) {
  if (node.kind == Node::Kind::kMap || node.kind == Node::Kind::kNull) return true;
  Fault(node, std::string(Describe(node.kind)) + "; allowed: a map of keys and values");
  return false;
}

bool Reading::ExpectSequence(const Node& node) {
  if (node.kind == Node::Kind::kSequence) return true;
  Fault(node, std::string(Describe(node.kind)) + "; allowed: a list, [] when empty");
  return false;
}

bool Reading::ExpectScalar(const Node& node, std::string_view allowed) {
  if (node.kind == Node::Kind::kScalar) return true;
  Fault(node, std::string(Describe(node.kind)).append("; allowed: ").append(allowed));
  return false;
}

void Reading::UnknownKey(const Node& key, const std::vector<std::string>& allowed) {
  const std::string prefix = path_.empty() ? "" : path_ + ".";
  // The message begins with the whole key, quoted unless it is a simple word.
  const Inside inside(*this, key.kind != Node::Kind::kScalar                  ? "(a key that is not a word)"
                             : IsLabelName(key.text) && key.text.size() <= 64 ? key.text
                                                                              : Quoted(key.text));
  if (const auto nearest = Nearest(key.text, allowed)) {
    Fault(key, "unknown key, the nearest is " + prefix + *nearest + "; allowed here: " + Join(allowed));
    return;
  }
  const auto elsewhere = std::find_if(all_keys_.begin(), all_keys_.end(), [&](const std::string& each) {
    return LastName(each) == key.text || each == key.text;
  });
  const std::string hint = elsewhere == all_keys_.end() ? "unknown key" : "unknown key here, there is " + *elsewhere;
  Fault(key, hint + "; allowed here: " + Join(allowed));
}

bool FindFields(const Node& map, const std::vector<std::string>& names, const std::vector<bool>& required,
                std::vector<const Node*>& found, Reading& reading) {
  bool fits = true;
  found.assign(names.size(), nullptr);
  std::vector<std::size_t> lines(names.size());
  for (std::size_t i = 0; i < map.keys.size(); ++i) {
    const Node& key = map.keys[i];
    const auto name = std::find(names.begin(), names.end(), key.text);
    if (key.kind != Node::Kind::kScalar || name == names.end()) {
      reading.UnknownKey(key, names);
      fits = false;
      continue;
    }
    const auto index = static_cast<std::size_t>(name - names.begin());
    if (found[index] != nullptr) {
      const Reading::Inside inside(reading, *name);
      reading.Fault(key, "given twice, first on line " + std::to_string(lines[index]) + "; allowed: once");
      fits = false;
      continue;
    }
    found[index] = &map.items[i];
    lines[index] = key.place.line;
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!required[i] || found[i] != nullptr) continue;
    const Reading::Inside inside(reading, names[i]);
    reading.Fault(map, "missing; an entry needs " + Join(names));
    fits = false;
  }
  return fits;
}

}  // namespace conntally::config

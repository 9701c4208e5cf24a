// A schema: the values allowed at a place in the file, the member of Config that they fill, and the error for others.
// Schemas are values, composed of smaller ones (Map, List, and the plain ones of values.h), so that each key is defined
// once, in schema.cpp. Immutable once built; a Reading belongs to one thread.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/document.h"
#include "config/fault.h"

namespace conntally::config {

// One pass over a document: the current place, and the faults found so far.
class Reading {
 public:
  // `all_keys`, dotted, serve to find the right place of a misplaced key. They must outlive this object.
  explicit Reading(const std::vector<std::string>& all_keys) : all_keys_(all_keys) {}

  // Notes a fault at the current place, which the message begins with.
  void Fault(const Node& at, std::string_view message);
  // In the order of the file.
  std::vector<ConfigFault> TakeFaultsInOrder();

  // Each notes a fault and returns false if `node` is something else. An empty section counts as a map, since that
  // remains when all its keys are commented out.
  bool ExpectMap(const Node& node);
  bool ExpectSequence(const Node& node);
  bool ExpectScalar(const Node& node, std::string_view allowed);

  void UnknownKey(const Node& key, const std::vector<std::string>& allowed);

  // Enters "name" or "[index]" while it lives.
  class Inside {
   public:
    Inside(Reading& reading, std::string_view name);
    Inside(Reading& reading, std::size_t index);
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside() { reading_.path_.resize(outer_size_); }

   private:
    Reading& reading_;
    std::size_t outer_size_;
  };

 private:
  const std::vector<std::string>& all_keys_;
  std::string path_;
  std::vector<ConfigFault> faults_;
  bool faults_left_out_ = false;
};

template <typename T>
struct Schema {
  // Reads `node` into `into`. False, with faults noted and `into` unspecified, if it does not fit.
  std::function<bool(const Node& node, T& into, Reading& reading)> read;
  std::vector<std::string> keys = {};  // dotted, of the keys inside; none for a plain value
};

// One key of a map, and the member of Parent that it fills.
template <typename Parent>
struct Field {
  std::string name;
  Schema<Parent> schema;
  bool required = false;
};

template <typename Parent, typename Member>
Field<Parent> Key(std::string name, Member Parent::*member, Schema<Member> schema) {
  std::vector<std::string> keys;
  for (const std::string& inner : schema.keys) keys.push_back(name + "." + inner);
  if (keys.empty()) keys.push_back(name);
  auto read = [member, inner = std::move(schema.read)](const Node& node, Parent& into, Reading& reading) {
    return inner(node, into.*member, reading);
  };
  return {std::move(name), {std::move(read), std::move(keys)}};
}

template <typename Parent, typename Member>
Field<Parent> RequiredKey(std::string name, Member Parent::*member, Schema<Member> schema) {
  Field<Parent> field = Key(std::move(name), member, std::move(schema));
  field.required = true;
  return field;
}

// A condition on several keys of one map. The fault is at the last of `keys` in the file.
template <typename T>
struct Check {
  std::vector<std::string> keys;
  std::function<std::optional<std::string>(const T&)> find_problem;
};

// The value of each of `names` in the file; null if absent. False if the keys themselves are wrong.
bool FindFields(const Node& map, const std::vector<std::string>& names, const std::vector<bool>& required,
                std::vector<const Node*>& found, Reading& reading);

// Keys that the file omits keep their values.
template <typename T>
Schema<T> Map(std::vector<Field<T>> fields, std::optional<Check<T>> check = std::nullopt) {
  std::vector<std::string> keys;
  std::vector<std::string> names;
  std::vector<bool> required;
  for (const Field<T>& field : fields) {
    keys.insert(keys.end(), field.schema.keys.begin(), field.schema.keys.end());
    names.push_back(field.name);
    required.push_back(field.required);
  }
  auto read = [fields = std::move(fields), names, required, check](const Node& node, T& into, Reading& reading) {
    if (!reading.ExpectMap(node)) return false;
    std::vector<const Node*> found;
    bool fits = FindFields(node, names, required, found, reading);
    const Node* blamed = &node;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (found[i] == nullptr) continue;
      const Reading::Inside inside(reading, fields[i].name);
      fits = fields[i].schema.read(*found[i], into, reading) && fits;
      if (check && std::find(check->keys.begin(), check->keys.end(), names[i]) != check->keys.end()) blamed = found[i];
    }
    if (!fits || !check) return fits;
    const auto problem = check->find_problem(into);
    if (problem) reading.Fault(*blamed, *problem);
    return !problem;
  };
  return {std::move(read), std::move(keys)};
}

// A list replaces the default one. No two elements may have the same `identity`, which messages also use as their name;
// without an `identity` they may be equal.
template <typename T>
Schema<std::vector<T>> List(Schema<T> element, std::size_t elements_max,
                            std::function<std::string(const T&)> identity) {
  auto read = [element_read = std::move(element.read), elements_max, identity = std::move(identity)](
                  const Node& node, std::vector<T>& into, Reading& reading) {
    if (!reading.ExpectSequence(node)) return false;
    if (node.items.size() > elements_max) {
      reading.Fault(node,
                    std::to_string(node.items.size()) + " entries; allowed: up to " + std::to_string(elements_max));
      return false;
    }
    bool fits = true;
    std::map<std::string, std::size_t> lines;
    into.clear();
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const Reading::Inside inside(reading, i);
      T value{};
      if (!element_read(node.items[i], value, reading)) {
        fits = false;
        continue;
      }
      const auto [first, is_new] =
          identity ? lines.emplace(identity(value), node.items[i].place.line) : std::pair(lines.end(), true);
      if (!is_new) {
        reading.Fault(node.items[i], first->first + " is given twice, first on line " + std::to_string(first->second) +
                                         "; allowed: once");
        fits = false;
      }
      into.push_back(std::move(value));
    }
    return fits;
  };
  return {std::move(read), std::move(element.keys)};
}

}  // namespace conntally::config

// Changes JSON as JSON: members go, come twice, and have a value of another kind, at any depth.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "test/fuzz/choice.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

namespace conntally::fuzz {

inline nlohmann::json AnyValue(Choice& choice) {
  switch (choice.Below(9)) {
    case 0: return nullptr;
    case 1: return choice.OneIn(2);
    case 2: return choice.Number();
    case 3: return static_cast<std::int64_t>(choice.Number());
    case 4: return static_cast<double>(choice.Number()) * (choice.OneIn(2) ? 1e290 : 1e-300);
    case 5: return nlohmann::json::array();
    case 6: return nlohmann::json::object();
    case 7: return std::string("\x1b]0;x\x07\u202e\u009b\n\u4e2d");
    default: return std::string(choice.Below(300), 'x');
  }
}

inline void ChangeJson(nlohmann::json& json, Choice& choice) {
  if (json.is_structured() && !json.empty() && !choice.OneIn(6)) {
    auto chosen = json.begin();
    std::advance(chosen, static_cast<std::ptrdiff_t>(choice.Below(json.size())));
    switch (choice.Below(8)) {
      case 0: json.erase(chosen); return;
      case 1:
        if (json.is_array()) {
          json.push_back(nlohmann::json(*chosen));
        } else {
          json[std::string(choice.Below(40), 'k')] = nlohmann::json(*chosen);
        }
        return;
      default: return ChangeJson(*chosen, choice);
    }
  }
  json = AnyValue(choice);
}

// For LLVMFuzzerCustomMutator. One change in four is libFuzzer's own, of bytes; so is each of what is no JSON.
inline std::size_t MutateJson(std::uint8_t* data, std::size_t size, std::size_t size_max, unsigned seed) {
  Choice choice(seed);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded() || choice.OneIn(4)) return LLVMFuzzerMutate(data, size, size_max);
  for (std::size_t i = 0; i <= choice.Below(3); ++i) ChangeJson(json, choice);
  const std::string changed = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (changed.size() > size_max) return LLVMFuzzerMutate(data, size, size_max);
  std::copy(changed.begin(), changed.end(), data);
  return changed.size();
}

}  // namespace conntally::fuzz

#define CONNTALLY_MUTATES_JSON                                                                               \
  extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max, \
                                                 unsigned seed) {                                            \
    return conntally::fuzz::MutateJson(data, size, size_max, seed);                                          \
  }                                                                                                          \
  static_assert(true)

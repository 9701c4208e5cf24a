// What the user has chosen to see, and what each key does. Pure; one owner.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "collectors/addresses/address.h"
#include "daemon/top/model/model.h"

namespace conntally::top {

enum class Screen : std::uint8_t { kSources, kSource, kAlerts, kRules, kDrops, kHelp };
enum class Sort : std::uint8_t { kConnections, kNewRate, kUnreplied, kDrops };
const char* NameOf(Sort sort);  // as the API names it

enum class KeyCode : std::uint8_t {
  kCharacter,
  kUp,
  kDown,
  kPageUp,
  kPageDown,
  kHome,
  kEnd,
  kEnter,
  kEscape,
  kBackspace,
  kRight,
  kLeft
};
struct Key {
  KeyCode code = KeyCode::kCharacter;
  char character = 0;  // with kCharacter
};

struct View {
  Screen screen = Screen::kSources;
  Sort sort = Sort::kConnections;
  std::optional<Prefix> filter;
  bool frozen = false;
  std::string selected;               // a source's name
  std::size_t selected_row = 0;       // its last row: if it leaves the list, the source that takes its row is selected
  std::string opened;                 // a source's name
  std::string drops_of;               // the source whose drops are shown; empty: all
  std::size_t scroll = 0;             // of any screen except the list of sources
  std::optional<std::string> prompt;  // the filter being typed
  std::string message;                // until the next key
  bool quit = false;

  bool unicode = true;  // the terminal can show more than ASCII
};

// The sources that the view shows, in its order.
std::vector<const Source*> ShownSources(const Model& model, const View& view);

// `page_rows`: how many rows of a list are visible.
void Apply(Key key, const Model& model, std::size_t page_rows, View& view);

}  // namespace conntally::top

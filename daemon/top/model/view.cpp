#include "daemon/top/model/view.h"

#include <algorithm>

#include "config/notation/address_notation.h"

namespace conntally::top {
namespace {

constexpr std::size_t kPromptMax = 64;

double ValueOf(const Source& source, Sort sort) {
  switch (sort) {
    case Sort::kConnections: return static_cast<double>(source.connections);
    case Sort::kNewRate: return source.new_rate;
    case Sort::kUnreplied: return static_cast<double>(source.unreplied);
    case Sort::kDrops: return static_cast<double>(source.dropped_packets());
  }
  return 0;
}

void Move(std::ptrdiff_t by, const Model& model, View& view) {
  if (view.screen != Screen::kSources) {
    const auto scroll = static_cast<std::ptrdiff_t>(view.scroll) + by;
    view.scroll =
        static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(scroll, 0, 100'000));  // the renderer knows the end
    return;
  }
  const auto shown = ShownSources(model, view);
  if (shown.empty()) return;
  const auto found = std::ranges::find(shown, view.selected, [](const Source* source) { return source->name; });
  std::ptrdiff_t from = found != shown.end() ? found - shown.begin() : static_cast<std::ptrdiff_t>(view.selected_row);
  if (view.selected.empty() && by > 0) from = -1;
  const auto to = std::clamp<std::ptrdiff_t>(from + by, 0, static_cast<std::ptrdiff_t>(shown.size()) - 1);
  view.selected_row = static_cast<std::size_t>(to);
  view.selected = shown[view.selected_row]->name;
}

void Open(const Model& model, View& view) {
  if (view.screen != Screen::kSources) return;
  const auto shown = ShownSources(model, view);
  if (shown.empty()) return;
  const auto found = std::ranges::find(shown, view.selected, [](const Source* source) { return source->name; });
  view.opened = view.selected = found != shown.end() ? (*found)->name : shown.front()->name;
  view.screen = Screen::kSource;
  view.scroll = 0;
}

void Show(Screen screen, View& view) {
  view.screen = view.screen == screen ? Screen::kSources : screen;
  view.scroll = 0;
}

void SortBy(Sort sort, View& view) {
  view.sort = sort;
  view.screen = Screen::kSources;
  view.selected.clear();
  view.selected_row = 0;
}

void Type(Key key, View& view) {
  std::string& text = *view.prompt;
  switch (key.code) {
    case KeyCode::kCharacter:
      if (key.character == 21) text.clear();  // Ctrl-U
      if (key.character > ' ' && key.character < 0x7f && text.size() < kPromptMax) text += key.character;
      return;
    case KeyCode::kBackspace:
      if (!text.empty()) text.pop_back();
      return;
    case KeyCode::kEscape: view.prompt.reset(); return;
    case KeyCode::kEnter: {
      const auto filter = ParsePrefix(text, HostBits::kCleared);
      if (!filter && !text.empty()) {
        view.message = filter.error().message + "; wanted: an address or a CIDR such as 192.0.2.0/24";
      } else {
        view.filter = filter ? std::optional(*filter) : std::nullopt;
        view.screen = Screen::kSources;
        view.selected.clear();
        view.selected_row = 0;
      }
      view.prompt.reset();
      return;
    }
    default: return;
  }
}

void ApplyCharacter(char character, const Model& model, View& view) {
  switch (character) {
    case 'q':
    case 3: view.quit = true; return;
    case 'c': return SortBy(Sort::kConnections, view);
    case 'n': return SortBy(Sort::kNewRate, view);
    case 'u': return SortBy(Sort::kUnreplied, view);
    case 'd': return SortBy(Sort::kDrops, view);
    case ' ':
    case 'f': view.frozen = !view.frozen; return;
    case '/': view.prompt = ""; return;
    case 'a': return Show(Screen::kAlerts, view);
    case 'r': return Show(Screen::kRules, view);
    case 'x': view.drops_of = view.screen == Screen::kSource ? view.opened : ""; return Show(Screen::kDrops, view);
    case '?':
    case 'h': return Show(Screen::kHelp, view);
    case 'j': return Move(1, model, view);
    case 'k': return Move(-1, model, view);
    default: return;
  }
}

}  // namespace

const char* NameOf(Sort sort) {
  switch (sort) {
    case Sort::kConnections: return "connections";
    case Sort::kNewRate: return "new_rate";
    case Sort::kUnreplied: return "unreplied";
    case Sort::kDrops: return "drops";
  }
  return "";
}

std::vector<const Source*> ShownSources(const Model& model, const View& view) {
  std::vector<const Source*> shown;
  for (const Source& source : model.sources) {
    const auto group = Prefix::Parse(source.name);
    const bool wanted =
        !view.filter || (group && (view.filter->Contains(group->address) || group->Contains(view.filter->address)));
    if (wanted) shown.push_back(&source);
  }
  std::ranges::stable_sort(shown, std::greater{}, [&](const Source* source) { return ValueOf(*source, view.sort); });
  return shown;
}

void Apply(Key key, const Model& model, std::size_t page_rows, View& view) {
  view.message.clear();
  if (view.prompt) {
    if (key.code == KeyCode::kCharacter && key.character == 3) view.quit = true;
    return Type(key, view);
  }
  const auto page = static_cast<std::ptrdiff_t>(std::max<std::size_t>(page_rows, 2)) - 1;
  switch (key.code) {
    case KeyCode::kCharacter: return ApplyCharacter(key.character, model, view);
    case KeyCode::kUp: return Move(-1, model, view);
    case KeyCode::kDown: return Move(1, model, view);
    case KeyCode::kPageUp: return Move(-page, model, view);
    case KeyCode::kPageDown: return Move(page, model, view);
    case KeyCode::kHome: return Move(-100'000, model, view);
    case KeyCode::kEnd: return Move(100'000, model, view);
    case KeyCode::kEnter:
    case KeyCode::kRight: return Open(model, view);
    case KeyCode::kEscape:
    case KeyCode::kBackspace:
    case KeyCode::kLeft:
      if (view.screen == Screen::kSources && key.code == KeyCode::kEscape) view.filter.reset();
      view.screen = Screen::kSources;
      view.scroll = 0;
      return;
  }
}

}  // namespace conntally::top

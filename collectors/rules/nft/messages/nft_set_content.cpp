#include "collectors/rules/nft/messages/nft_set_content.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace conntally {

Verdict VerdictOf(std::int32_t code) {
  switch (code) {
    case NF_DROP: return Verdict::kDrop;
    case NF_ACCEPT: return Verdict::kAccept;
    case NFT_RETURN: return Verdict::kReturn;
    case NFT_JUMP: return Verdict::kJump;
    case NFT_GOTO: return Verdict::kGoto;
    case NFT_CONTINUE: return Verdict::kContinue;
    default: return (code & 0xff) == NF_QUEUE ? Verdict::kQueue : Verdict::kOther;
  }
}

std::vector<NftSetContent::Element> RangesOf(const std::vector<NftElement>& elements, bool intervals) {
  struct Point {
    std::vector<std::byte> key;
    const NftElement* element;
  };
  std::vector<Point> points;
  for (const NftElement& element : elements) {
    if (!element.key.empty()) points.push_back({{element.key.begin(), element.key.end()}, &element});
  }
  // If one interval ends where the next begins, the end comes first.
  const auto is_end = [](const Point& point) { return (point.element->flags & NFT_SET_ELEM_INTERVAL_END) != 0; };
  std::sort(points.begin(), points.end(),
            [&](const Point& a, const Point& b) { return a.key != b.key ? a.key < b.key : is_end(a) && !is_end(b); });
  std::vector<NftSetContent::Element> ranges;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const NftElement& element = *points[i].element;
    if ((element.flags & NFT_SET_ELEM_INTERVAL_END) != 0) continue;
    NftSetContent::Element range{points[i].key, points[i].key, {}, {}};
    if (!element.key_end.empty()) range.last.assign(element.key_end.begin(), element.key_end.end());
    if (intervals && element.key_end.empty()) {
      if (i + 1 < points.size()) {
        range.last = points[i + 1].key;  // the first key after it: subtract one
        for (std::size_t at = range.last.size(); at-- > 0;) {
          range.last[at] = static_cast<std::byte>(std::to_integer<unsigned>(range.last[at]) + 255U);
          if (range.last[at] != std::byte{0xff}) break;
        }
      } else {
        std::fill(range.last.begin(), range.last.end(), std::byte{0xff});
      }
    }
    range.value.assign(element.value.begin(), element.value.end());
    if (element.verdict) {
      range.verdict = VerdictOf(element.verdict->code);
      range.jump_target = element.verdict->chain;
    }
    if (range.last.size() == range.first.size() && range.first <= range.last) ranges.push_back(std::move(range));
  }
  return ranges;
}

}  // namespace conntally

#include "collectors/addresses/ranges.h"

#include <tuple>

namespace conntally {
namespace {

// Ordered by family, then address.
auto Order(const IpAddress& address) { return std::tie(address.family, address.bytes); }

// Increments the address. False at the end of the family.
bool Next(IpAddress& address) {
  for (unsigned i = AddressBits(address.family) / 8; i-- > 0;) {
    if (++address.bytes[i] != 0) return true;
  }
  return false;
}

bool JoinsOn(const AddressRange& range, const AddressRange& next) {
  if (range.last.family != next.first.family) return false;
  IpAddress beyond = range.last;
  return !Next(beyond) || next.first.bytes <= beyond.bytes;
}

}  // namespace

AddressRange RangeOf(const Prefix& prefix) {
  AddressRange range{Masked(prefix.address, prefix.length), Masked(prefix.address, prefix.length)};
  for (unsigned bit = prefix.length; bit < AddressBits(prefix.address.family); ++bit) {
    range.last.bytes[bit / 8] |= static_cast<std::uint8_t>(0x80U >> bit % 8);
  }
  return range;
}

AddressRanges::AddressRanges(std::vector<AddressRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const AddressRange& a, const AddressRange& b) { return Order(a.first) < Order(b.first); });
  for (const AddressRange& range : ranges) {
    if (ranges_.empty() || !JoinsOn(ranges_.back(), range)) {
      ranges_.push_back(range);
    } else if (ranges_.back().last.bytes < range.last.bytes) {
      ranges_.back().last = range.last;
    }
  }
}

bool AddressRanges::Holding(const AddressRange& range) const {
  const auto after = std::upper_bound(
      ranges_.begin(), ranges_.end(), range.first,
      [](const IpAddress& address, const AddressRange& candidate) { return Order(address) < Order(candidate.first); });
  return after != ranges_.begin() && std::prev(after)->Contains(range.first) && std::prev(after)->Contains(range.last);
}

bool AddressRanges::Meeting(const AddressRange& range) const {
  // The first one that ends at or after the start of `range`.
  const auto at = std::lower_bound(
      ranges_.begin(), ranges_.end(), range.first,
      [](const AddressRange& candidate, const IpAddress& address) { return Order(candidate.last) < Order(address); });
  return at != ranges_.end() && Order(at->first) <= Order(range.last);
}

}  // namespace conntally

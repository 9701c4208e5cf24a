#include "daemon/observation/history/history_sources.h"

#include <algorithm>
#include <map>

namespace conntally {
namespace {

constexpr std::size_t kByConnections = 32;
constexpr std::size_t kByNewRate = 16;
constexpr std::size_t kByDropRate = 16;
static_assert(kByConnections + kByNewRate + kByDropRate <= History::kSourcesPerSample);

// The greatest few of many, with one comparison for most of them.
template <typename Value>
class Greatest {
 public:
  explicit Greatest(std::size_t count) : count_(count) {}

  void Add(Value value, SourceRow row) {
    if (value <= Value{}) return;
    if (heap_.size() == count_ && value <= heap_.front().first) return;
    if (heap_.size() == count_) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>{});
      heap_.pop_back();
    }
    heap_.emplace_back(value, row);
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>{});
  }
  const std::vector<std::pair<Value, SourceRow>>& all() const { return heap_; }

 private:
  const std::size_t count_;
  std::vector<std::pair<Value, SourceRow>> heap_;  // the least in front
};

}  // namespace

std::vector<SourceSample> SourcesThatStandOut(const Tally::View& view, std::vector<DropTally::Rated> dropped,
                                              std::uint64_t& sources) {
  const std::size_t drops_kept = std::min(dropped.size(), kByDropRate);
  std::partial_sort(dropped.begin(), dropped.begin() + static_cast<std::ptrdiff_t>(drops_kept), dropped.end(),
                    [](const auto& a, const auto& b) { return a.rate > b.rate; });
  dropped.resize(drops_kept);

  Greatest<std::int64_t> by_connections(kByConnections);
  Greatest<double> by_new_rate(kByNewRate);
  std::map<IpAddress, SourceSample> found;
  for (const DropTally::Rated& rated : dropped) found[rated.source] = {.source = rated.source, .drop_rate = rated.rate};
  sources = 0;
  const auto take = [&](const SourceFigures& figures) {
    SourceSample& sample = found[figures.source];
    sample.source = figures.source;
    sample.connections = figures.connections;
    sample.new_rate = figures.new_rate;
  };
  view.ForEach([&](const Tally::Source& source) {
    if (source.connections() > 0) ++sources;
    by_connections.Add(source.connections(), source.row());
    by_new_rate.Add(source.new_rate(), source.row());
    if (!dropped.empty() && found.contains(source.address())) take(source.figures());
  });
  for (const auto& [value, row] : by_connections.all()) take(*view.Source(row));
  for (const auto& [value, row] : by_new_rate.all()) take(*view.Source(row));

  std::vector<SourceSample> samples;
  for (const auto& [address, sample] : found) samples.push_back(sample);
  return samples;
}

}  // namespace conntally

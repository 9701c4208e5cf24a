#include "daemon/exposition/exposition.h"

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <prometheus/text_serializer.h>

#include "daemon/exposition/model_writer.h"
#include "test/support/catch.h"
#include "test/unit/daemon/observation/snapshot/full_snapshot.h"

using namespace conntally;
using namespace conntally::test;

namespace {

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// Samples by name and labels, as they stand in the text.
std::map<std::string, double> Samples(const Snapshot& snapshot) {
  std::map<std::string, double> samples;
  for (const std::string& line : Lines(Exposition(snapshot))) {
    if (line.empty() || line[0] == '#') continue;
    const std::size_t space = line.rfind(' ');
    const bool first = samples.emplace(line.substr(0, space), std::strtod(line.c_str() + space, nullptr)).second;
    INFO(line);
    CHECK(first);  // no series twice
  }
  return samples;
}

double SumOf(const std::map<std::string, double>& samples, const std::string& name) {
  double sum = 0;
  for (const auto& [series, value] : samples) {
    if (series == name || series.starts_with(name + "{")) sum += value;
  }
  return sum;
}

}  // namespace

TEST_CASE("a collector's own figures are shown as it tells them, those of one name as one family") {
  Snapshot snapshot;
  using Kind = CollectorFigure::Kind;
  snapshot.figures = {{"conntally_a_total", "Of each.", Kind::kCounter, 3, {{"which", "x"}}},
                      {"conntally_a_total", "Of each.", Kind::kCounter, 4, {{"which", "y"}}},
                      {"conntally_b", "Of all.", Kind::kGauge, 0.5}};
  const std::string text = Exposition(snapshot);
  CHECK(text.find("# HELP conntally_a_total Of each.\n# TYPE conntally_a_total counter\n"
                  "conntally_a_total{which=\"x\"} 3\nconntally_a_total{which=\"y\"} 4\n"
                  "# HELP conntally_b Of all.\n# TYPE conntally_b gauge\nconntally_b 0.5\n") != text.npos);
}

// CONNTALLY_REWRITE_GOLDEN=1 writes the file anew: then read the difference in git.
TEST_CASE("the whole exposition is as in test/golden/metrics.txt") {
  const std::string path = CONNTALLY_GOLDEN_METRICS;
  const std::string now = Exposition(FullSnapshot());
  if (std::getenv("CONNTALLY_REWRITE_GOLDEN") != nullptr) std::ofstream(path, std::ios::binary) << now;
  const std::vector<std::string> golden = Lines(ReadFile(path));
  const std::vector<std::string> lines = Lines(now);
  std::string difference;
  const std::set<std::string> in_golden(golden.begin(), golden.end());
  const std::set<std::string> in_lines(lines.begin(), lines.end());
  for (const std::string& line : golden) {
    if (!in_lines.contains(line)) difference += "- " + line + "\n";
  }
  for (const std::string& line : lines) {
    if (!in_golden.contains(line)) difference += "+ " + line + "\n";
  }
  INFO(difference);
  CHECK(lines == golden);
}

TEST_CASE("the text is what prometheus-cpp's serializer makes of the same families") {
  Snapshot snapshot = FullSnapshot();
  using Kind = CollectorFigure::Kind;
  for (const double value : {0.0, -0.0, 1.0, -7.0, 0.1, 1e-9, 1.0 / 3, 123456.789, 999999999999999.0, 1e15,
                             9007199254740993.0, 1e16, 1.7e300, 5e-324, std::nan(""),
                             std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()})
    snapshot.figures.push_back({"conntally_number", "Of each kind.", Kind::kGauge, value});
  for (const char* label : {"a\"b", "\\", "line\nend", "\"", "", "plain", "\n\n", "\xc3\xa9"})
    snapshot.figures.push_back({"conntally_label", "A\tword.", Kind::kCounter, 1, {{"which", label}, {"other", "x"}}});
  ModelWriter model;
  WriteMetrics(snapshot, model);
  CHECK(Lines(Exposition(snapshot)) == Lines(prometheus::TextSerializer().Serialize(model.Take())));
}

TEST_CASE("sources with series and the remainder are together all connections") {
  const auto samples = Samples(FullSnapshot());
  CHECK(SumOf(samples, "conntally_source_connections") + SumOf(samples, "conntally_other_sources_connections") ==
        SumOf(samples, "conntally_connections"));
}

TEST_CASE("what the kernel does not tell is absent, not zero") {
  Snapshot snapshot = FullSnapshot();
  snapshot.table->limit.reset();
  snapshot.table->buckets.reset();
  auto samples = Samples(snapshot);
  CHECK_FALSE(samples.contains("conntally_table_entries_limit"));
  CHECK_FALSE(samples.contains("conntally_table_buckets"));
  CHECK(samples.contains("conntally_table_entries"));
  snapshot.table.reset();
  samples = Samples(snapshot);
  for (const auto& [series, value] : samples) CHECK_FALSE(series.starts_with("conntally_table_"));
  CHECK(samples.at("conntally_up") == 1);
}

TEST_CASE("a table that is not growing is full in +Inf seconds") {
  Snapshot snapshot = FullSnapshot();
  snapshot.table_seconds_until_full = std::numeric_limits<double>::infinity();
  CHECK(Exposition(snapshot).find("\nconntally_table_seconds_until_full +Inf\n") != std::string::npos);
}

TEST_CASE("buckets of the histogram are cumulative, and its count is its last bucket") {
  const auto samples = Samples(FullSnapshot());
  CHECK(samples.at("conntally_connection_duration_seconds_bucket{le=\"0.1\"}") == 1);
  CHECK(samples.at("conntally_connection_duration_seconds_bucket{le=\"1\"}") == 3);
  CHECK(samples.at("conntally_connection_duration_seconds_bucket{le=\"+Inf\"}") == 91);
  CHECK(samples.at("conntally_connection_duration_seconds_count") == 91);
  CHECK(samples.at("conntally_connection_duration_seconds_sum") == Approx(12345.678));
}

TEST_CASE("an empty snapshot is a whole exposition: up, not synced, nothing counted") {
  const auto samples = Samples(Snapshot{});
  CHECK(samples.at("conntally_up") == 1);
  CHECK(samples.at("conntally_synced") == 0);
  CHECK(samples.at("conntally_sources") == 0);
  CHECK(samples.at("conntally_other_sources_connections") == 0);
}

#include "daemon/api/sources/sources_query.h"

#include "daemon/http/target.h"
#include "test/support/catch.h"

using namespace conntally;

namespace {

Result<SourcesQuery> Parse(const std::string& query) {
  return ParseSourcesQuery(http::ParseTarget("/api/v1/sources?" + query).value());
}

std::string ErrorOf(const std::string& query) {
  const auto parsed = Parse(query);
  return parsed ? "" : parsed.error().message;
}

KnownSource Source(const std::string& address, std::int64_t connections, std::int64_t unreplied, double new_rate) {
  SourceFigures figures;
  figures.source = IpAddress::Parse(address).value();
  figures.connections = connections;
  figures.unreplied = unreplied;
  figures.new_rate = new_rate;
  return {.figures = figures};
}

std::vector<std::string> Names(const std::deque<KnownSource>& sources) {
  std::vector<std::string> names;
  for (const KnownSource& source : sources) names.push_back(source.figures.source.ToString());
  return names;
}

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("without parameters the first fifty by connections are asked for") {
  const auto query = Parse("");
  REQUIRE(query);
  CHECK(query->sort == SourcesQuery::Sort::kConnections);
  CHECK(query->limit == 50);
  CHECK_FALSE(query->within);
}

TEST_CASE("each parameter is taken") {
  const auto query = Parse("sort=new_rate&limit=1000000&source=2001:db8::%2f32");
  REQUIRE(query);
  CHECK(query->sort == SourcesQuery::Sort::kNewRate);
  CHECK(query->limit == 1'000'000);
  CHECK(query->within == Prefix::Parse("2001:db8::/32"));
  CHECK(Parse("sort=drops"));
  CHECK(Parse("sort=unreplied"));
  CHECK(Parse("source=192.0.2.7")->within->length == 32);
  CHECK(Parse("source=::ffff:10.0.0.0/104")->within == Prefix::Parse("10.0.0.0/8"));
}

TEST_CASE("a bad value is refused with what is allowed") {
  for (const char* limit : {"limit=0", "limit=1000001", "limit=-1", "limit=", "limit=5x", "limit=%205", "limit=+5",
                            "limit=99999999999999999999999", "limit=1e3", "limit"}) {
    CHECK(ErrorOf(limit) == "limit is a number from 1 to 1000000");
  }
  for (const char* sort : {"sort=", "sort=Connections", "sort=bytes"}) {
    CHECK(ErrorOf(sort) == "sort is one of connections, new_rate, unreplied, drops");
  }
  for (const char* source :
       {"source=", "source=host", "source=192.0.2.7/24", "source=192.0.2.0/33", "source=::ffff:10.0.0.0/64"}) {
    CHECK(ErrorOf(source).find("source is an address, or a prefix") == 0);
  }
}

TEST_CASE("a parameter that is unknown or comes twice is refused by name") {
  CHECK(ErrorOf("sorted=connections") == "no parameter 'sorted'; there are sort, limit, source");
  CHECK(ErrorOf("limit=5&limit=6") == "'limit' is given twice");
}

TEST_CASE("sources are ordered as asked, equals by address, and cut") {
  const auto top = [](SourcesQuery::Sort sort, std::size_t limit) {
    TopSources sources(sort, limit);
    sources.Enter(Source("192.0.2.3", 5, 1, 0.5));
    sources.Enter(Source("192.0.2.1", 5, 0, 9));
    sources.Enter(Source("192.0.2.2", 7, 5, 0));
    CHECK(sources.entered() == 3);
    return Names(sources.Take());
  };
  using Sort = SourcesQuery::Sort;
  CHECK(top(Sort::kConnections, 2) == Strings{"192.0.2.2", "192.0.2.1"});
  CHECK(top(Sort::kNewRate, 1) == Strings{"192.0.2.1"});
  CHECK(top(Sort::kUnreplied, 9) == Strings{"192.0.2.2", "192.0.2.3", "192.0.2.1"});
  CHECK(TopSources(Sort::kDrops, 1).Take().empty());
}

TEST_CASE("of many sources the first ones are kept, in whatever order they come") {
  TopSources sources(SourcesQuery::Sort::kConnections, 3);
  for (int i = 0; i < 1000; ++i) {
    const int value = i * 617 % 1000;  // each of 0 .. 999 once
    sources.Enter(Source("10.0." + std::to_string(value / 256) + "." + std::to_string(value % 256), value / 2, 0, 0));
  }
  // Of 998 and 999, and of 996 and 997, the one with the lower address comes first.
  CHECK(Names(sources.Take()) == Strings{"10.0.3.230", "10.0.3.231", "10.0.3.228"});
}

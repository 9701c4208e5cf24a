#include "daemon/api/destinations_api.h"

#include "test/support/catch.h"

using namespace conntally;

namespace {

std::string ErrorOf(std::multimap<std::string, std::string> query) {
  const auto parsed = ParseDestinationsQuery({.path = "/api/v1/destinations", .query = std::move(query)});
  return parsed ? "" : parsed.error().message;
}

DestinationFigures Figures() {
  DestinationFigures figures;
  const auto add = [&](const char* address, std::uint16_t port, std::uint32_t connections, std::uint32_t unreplied,
                       std::uint32_t lately) {
    figures.destinations.push_back({{*IpAddress::Parse(address), port, 6}, connections, unreplied, lately});
  };
  add("192.0.2.1", 80, 5, 1, 0);
  add("192.0.2.1", 443, 9, 0, 2);
  add("192.0.2.200", 443, 5, 5, 1);
  add("2001:db8::1", 443, 7, 2, 9);
  return figures;
}

std::vector<std::string> Ranked(const DestinationsQuery& query, std::size_t* count = nullptr) {
  const DestinationFigures figures = Figures();
  std::size_t total = 0;
  std::vector<std::string> names;
  for (const auto* row : RankDestinations(figures, query, total))
    names.push_back(row->destination.address.ToString() + " " + std::to_string(row->destination.port));
  if (count != nullptr) *count = total;
  return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("destinations come in the order asked for, equals by address and port") {
  using Sort = DestinationsQuery::Sort;
  CHECK(Ranked({.sort = Sort::kConnections}) ==
        Names{"192.0.2.1 443", "2001:db8::1 443", "192.0.2.1 80", "192.0.2.200 443"});
  CHECK(Ranked({.sort = Sort::kUnreplied, .limit = 2}) == Names{"192.0.2.200 443", "2001:db8::1 443"});
  CHECK(Ranked({.sort = Sort::kNewRate, .limit = 1}) == Names{"2001:db8::1 443"});
}

TEST_CASE("a prefix keeps those in it, and the total counts them all") {
  std::size_t total = 0;
  CHECK(Ranked({.limit = 1, .within = *Prefix::Parse("192.0.2.0/25")}, &total) == Names{"192.0.2.1 443"});
  CHECK(total == 2);
  CHECK(Ranked({.within = *Prefix::Parse("2001:db8::/32")}, &total) == Names{"2001:db8::1 443"});
}

TEST_CASE("a question for destinations that says too much or something wrong is refused with what is allowed") {
  CHECK(ErrorOf({{"sort", "unreplied"}, {"limit", "7"}, {"destination", "192.0.2.0/24"}}).empty());
  CHECK(ErrorOf({{"sort", "drops"}}) == "sort is one of connections, unreplied, new_rate");
  CHECK(ErrorOf({{"limit", "0"}}) == "limit is a number from 1 to 1000000");
  CHECK(ErrorOf({{"limit", "1"}, {"limit", "2"}}) == "'limit' is given twice");
  CHECK(ErrorOf({{"destination", "192.0.2.1/24"}}).starts_with("destination is an address, or a prefix"));
  CHECK(ErrorOf({{"source", "192.0.2.1"}}) == "no parameter 'source'; there are sort, limit, destination");
}

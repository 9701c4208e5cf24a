#include "daemon/diagnose/report/report_text.h"

#include <nlohmann/json.hpp>

#include "daemon/diagnose/facts/case.h"
#include "test/support/catch.h"

using namespace conntally;
using namespace conntally::diagnose;

namespace {

Report SomeReport() {
  Report report;
  Finding finding{FindingId::kRejectRule, 0.987,
                  "A rule rejects it",    {"line 3 of INPUT: `-j REJECT`", "evil \x1b[31mred"},
                  "so it is refused",     {}};
  finding.fix.push_back({"iptables -D INPUT 3", "everybody gets in", "iptables -I INPUT 3 ...", ""});
  report.findings.push_back(finding);
  report.checked = {"rules"};
  report.not_checked = {{"packets", "needs CAP_NET_RAW"}};
  return report;
}

}  // namespace

TEST_CASE("a report as JSON has the names that programs rely on") {
  const auto json = nlohmann::json::parse(JsonOf(SomeReport()));
  CHECK(json.size() == 3);
  const auto& finding = json.at("findings").at(0);
  CHECK(finding.size() == 6);
  CHECK(finding.at("id") == "reject-rule");
  CHECK(finding.at("certainty") == 0.99);
  CHECK(finding.at("evidence").size() == 2);
  CHECK(finding.at("fix").at(0).at("command") == "iptables -D INPUT 3");
  CHECK(finding.at("fix").at(0).size() == 4);
  CHECK(json.at("checked") == nlohmann::json({"rules"}));
  CHECK(json.at("not_checked").at(0).at("why") == "needs CAP_NET_RAW");
}

TEST_CASE("an empty report is whole JSON, too") {
  CHECK(nlohmann::json::parse(JsonOf({})) == nlohmann::json({{"findings", nlohmann::json::array()},
                                                             {"checked", nlohmann::json::array()},
                                                             {"not_checked", nlohmann::json::array()}}));
}

TEST_CASE("a report for people shows commands whole and no control bytes") {
  Question question;
  question.source = IpAddress::Parse("192.0.2.7");
  question.protocol = 6;
  question.destination_port = std::uint16_t{443};
  const std::string text = TextOf(SomeReport(), question);
  CHECK(text.starts_with("conntally diagnose: 192.0.2.7 to this host, tcp port 443\n"));
  for (const char* part : {"1. A rule rejects it", "reject-rule, certainty 0.99", "try:     iptables -D INPUT 3\n",
                           "risk:", "undo:", "Not checked:\n", "CAP_NET_RAW"}) {
    CHECK(text.find(part) != text.npos);
  }
  CHECK(text.find('\x1b') == text.npos);
}

TEST_CASE("figures are written for people") {
  CHECK(Grouped(0) == "0");
  CHECK(Grouped(999) == "999");
  CHECK(Grouped(1000) == "1,000");
  CHECK(Grouped(1234567) == "1,234,567");
  CHECK(Lasting(7200) == "2 h");
  CHECK(Percent(0.905) == "90 %");
}

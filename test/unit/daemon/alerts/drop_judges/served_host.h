// A host with clients that have been regular for some minutes, whose packets can begin to be dropped.
#pragma once

#include "daemon/alerts/drop_judges/judge_drops.h"
#include "test/unit/daemon/alerts/judged_host.h"

namespace conntally {

using Strings = std::vector<std::string>;
inline constexpr std::uint16_t kPort = 443;

inline std::string Client(int number) { return fmt::format("192.0.2.{}", number); }

struct Served : Host {
  explicit Served(int clients, std::uint8_t minutes = 3, std::chrono::seconds quiet = std::chrono::seconds(60))
      : minutes_(minutes) {
    Answers(kPort);
    for (int i = 1; i <= clients; ++i) {
      SourceFigures figures;
      figures.source = *IpAddress::Parse(Client(i));
      figures.proof = Proof::kProven;
      figures.regular_minutes = minutes;
      evidence.regulars.push_back(figures);
    }
    Run(quiet);
  }
  // Clients first..last lose `rate` packets a second, to a port.
  void Lose(int first, int last, double rate, std::chrono::seconds duration, const std::string& rule = "",
            std::uint16_t port = kPort, std::uint64_t opened_per_second = 0) {
    for (std::chrono::seconds second{0}; second < duration; ++second) {
      lost_ += rate;
      opened_ += opened_per_second;
      for (int i = first; i <= last; ++i) {
        Dropped(Client(i), rule, port, static_cast<std::uint64_t>(lost_) + 1);
        Figures(i).opened = opened_;
      }
      Run(std::chrono::seconds(1));
    }
  }
  // Clients first..last, whose packets were dropped, each open a connection.
  void Open(int first, int last) {
    for (int i = first; i <= last; ++i) ++Figures(i).opened;
  }
  SourceFigures& Figures(int client) {
    for (auto& source : evidence.dropped) {
      if (source.name != Client(client)) continue;
      source.figures.proof = Proof::kProven;
      source.figures.regular_minutes = minutes_;
      return source.figures;
    }
    throw std::logic_error("not dropped");
  }
  void Reject(const std::string& text) {
    auto ruleset = std::make_shared<Ruleset>();
    Rule rule;
    rule.text = text;
    rule.verdict = Verdict::kReject;
    ruleset->rules.push_back(rule);
    auto figures = std::make_shared<RuleFigures>();
    figures->backends[RuleBackend::kNftables].snapshot.ruleset = ruleset;
    evidence.rules = figures;
  }

 private:
  std::uint8_t minutes_;
  double lost_ = 0;
  std::uint64_t opened_ = 0;
};

}  // namespace conntally

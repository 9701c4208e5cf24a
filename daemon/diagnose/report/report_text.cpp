#include "daemon/diagnose/report/report_text.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "collectors/system/shown_text.h"
#include "collectors/tally/protocol_names.h"

namespace conntally::diagnose {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t kWidth = 100;

// One paragraph, its lines after the first indented by `indent`; commands are never broken.
std::string Wrapped(const std::string& head, const std::string& text) {
  const std::string indent(head.size(), ' ');
  std::string result;
  std::string line = head;
  bool begun = false;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    if (begun && line.size() + 1 + word.size() > kWidth) {
      result += line + '\n';
      line = indent;
      begun = false;
    }
    line += (begun ? " " : "") + word;
    begun = true;
    at = end + 1;
  }
  return result + line + '\n';
}

std::string TextOf(const Finding& finding, std::size_t number) {
  std::string text = Wrapped(fmt::format("{}. ", number), ShownLine(finding.title)) +
                     fmt::format("   {}, certainty {:.2f}\n", WordOf(finding.id), finding.certainty);
  for (const std::string& line : finding.evidence) text += Wrapped("     - ", ShownLine(line));
  if (!finding.cause.empty()) text += Wrapped("   why:     ", ShownLine(finding.cause));
  if (!finding.decide.empty()) text += Wrapped("   decide:  ", ShownLine(finding.decide));
  for (const Fix& fix : finding.fix) {
    text += "   try:     " + ShownLine(fix.command) + '\n';
    if (!fix.risk.empty()) text += Wrapped("   risk:    ", ShownLine(fix.risk));
    if (!fix.undo.empty()) text += "   undo:    " + ShownLine(fix.undo) + '\n';
    if (!fix.persist.empty()) text += "   to keep: " + ShownLine(fix.persist) + '\n';
  }
  return text + '\n';
}

}  // namespace

std::string Describe(const Question& question) {
  std::string text;
  if (question.source) text += question.source->ToString() + " ";
  if (question.source || question.destination) {
    text += "to " + (question.destination ? question.destination->ToString() : std::string("this host"));
  } else {
    text += "this host";
  }
  if (question.protocol) text += ", " + ProtocolName(*question.protocol);
  if (question.destination_port) text += fmt::format(" port {}", *question.destination_port);
  return text;
}

std::string TextOf(const Report& report, const Question& question) {
  std::string text = "conntally diagnose: " + Describe(question) + "\n\n";
  // First: a reader must know what could not be checked before reading a cause.
  std::string unseen;
  for (const Unchecked& each : report.not_checked) {
    if (each.weight == Weight::kEssential) unseen += Wrapped("  - ", ShownLine(each.what + ": " + each.why));
  }
  if (!unseen.empty()) text += "Could not be seen, and what follows knows nothing of it:\n" + unseen + "\n";
  for (std::size_t i = 0; i < report.findings.size(); ++i) text += TextOf(report.findings[i], i + 1);
  if (!report.checked.empty()) {
    text += "Checked:\n";
    for (const std::string& line : report.checked) text += Wrapped("  - ", ShownLine(line));
  }
  if (std::any_of(report.not_checked.begin(), report.not_checked.end(),
                  [](const Unchecked& each) { return each.weight == Weight::kDetail; })) {
    text += "Not checked:\n";
    for (const Unchecked& each : report.not_checked) {
      if (each.weight == Weight::kDetail) text += Wrapped("  - ", ShownLine(each.what + ": " + each.why));
    }
  }
  return text;
}

std::string JsonOf(const Report& report) {
  OrderedJson findings = OrderedJson::array();
  for (const Finding& finding : report.findings) {
    OrderedJson fixes = OrderedJson::array();
    for (const Fix& fix : finding.fix) {
      fixes.push_back({{"command", fix.command}, {"risk", fix.risk}, {"undo", fix.undo}, {"persist", fix.persist}});
    }
    findings.push_back({{"id", WordOf(finding.id)},
                        {"certainty", static_cast<double>(static_cast<int>(finding.certainty * 100 + 0.5)) / 100},
                        {"title", finding.title},
                        {"evidence", finding.evidence},
                        {"cause", finding.cause},
                        {"fix", std::move(fixes)}});
    if (!finding.decide.empty()) findings.back()["decide"] = finding.decide;
  }
  OrderedJson not_checked = OrderedJson::array();
  for (const Unchecked& each : report.not_checked) not_checked.push_back({{"what", each.what}, {"why", each.why}});
  const OrderedJson json = {
      {"findings", std::move(findings)}, {"checked", report.checked}, {"not_checked", std::move(not_checked)}};
  return ShownJson(json.dump(1, ' ', false, OrderedJson::error_handler_t::replace)) + "\n";
}

}  // namespace conntally::diagnose

// Scans: SourceScanning, by the outcomes of first contacts (Jung, Paxson, Berger, Balakrishnan: Fast Portscan Detection
// Using Sequential Hypothesis Testing, IEEE S&P 2004). A first contact of a scanner succeeds with kScannerSucceeds, one
// of anybody else's with kOthersSucceed or more; the walk's sum over a source's contacts of the last minute must pass
// the ratio at which one in kOneWrong would be wrong. So must the number of those that failed pass source_scan. A
// dropped packet is a failed contact by its port, unless none of the source's was dropped for kOver; likewise a scan is
// over when hardly any of its failed contacts, less than one in kRecentPart, is recent (45 s as well). That is longer
// than source_scan's `for`, so a scan of a second is told, too. (A dropped packet's destination is not known: a
// horizontal scan of one port that is dropped is told as SourceMatchesDropRule.)
//
// A stranger that scans is weather: info, and a warning only past the critical threshold. A regular that does, or a
// proven source with a private address, is one of ours, and may be a worm: a warning, and critical. The host itself
// never scans.
//
// Pure, without a memory.
#pragma once

#include "daemon/alerts/evidence/judge.h"

namespace conntally {

class ScanJudge {
 public:
  static void Read(const AlertRules& rules, const AlertEvidence& evidence, Readings& into);

  static constexpr double kScannerSucceeds = 0.02;
  static constexpr double kOthersSucceed = 0.5;
  static constexpr double kOneWrong = 1000;
  static constexpr std::chrono::seconds kOver{45};
  static constexpr std::uint32_t kRecentPart = 10;
  // What the contacts say, as the logarithm of the likelihood ratio.
  static double Walk(double failed, double succeeded);
};

}  // namespace conntally

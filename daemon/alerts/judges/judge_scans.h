// Judges scans: SourceScanning, by the outcomes of first contacts (Jung, Paxson, Berger, Balakrishnan: Fast Portscan
// Detection Using Sequential Hypothesis Testing, IEEE S&P 2004). A scanner's first contact succeeds with probability
// kScannerSucceeds, any other source's with at least kOthersSucceed. The sum of the random walk over a source's
// contacts of the last minute must pass the ratio at which one verdict in kOneWrong is wrong. The number of failed
// contacts must also pass source_scan. Dropped packets to a port are one failed contact, until none of the source's
// packets was dropped for kOver. A scan is also over when fewer than one in kRecentPart of its failed contacts are
// recent (also 45 s). That is longer than source_scan's `for`, so even a scan of one second is reported. Of a source of
// ours, each destination of a port counts, so a dropped sweep for one service is a scan as well; the connections that
// it opens meanwhile, or holds answered, count as succeeded. A source whose contacts mostly succeed may scan for one
// service beside: the TCP port whose contacts failed most is judged by itself, if no more than kScannerSucceeds of them
// succeeded.
//
// A scanning stranger is normal: info, and a warning only past the critical threshold. A regular source, or a proven
// source with a private address, is one of ours and may have a worm: a warning, then critical. The host itself is never
// judged to scan.
//
// Pure, without memory.
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
  // The logarithm of the likelihood ratio of these contacts.
  static double Walk(double failed, double succeeded);
};

}  // namespace conntally

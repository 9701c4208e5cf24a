// What a running conntally knows and a single reading cannot show: trends, rates, dropped sources. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectors/system/result.h"
#include "collectors/table/table_reader.h"
#include "daemon/command_line/client/ask_daemon.h"
#include "daemon/command_line/grammar/question.h"

namespace conntally::diagnose {

struct RunningDaemon {
  struct Source {
    std::string source;
    std::uint64_t connections = 0;
    double new_rate = 0;             // connections per second
    double drop_rate = 0;            // packets per second
    std::vector<std::string> drops;  // "7 packets, by `tcp dport 23 drop` (ebpf)"
  };

  bool synced = false;
  std::uint64_t entries = 0;
  std::uint64_t drops = 0;
  std::uint64_t insert_failed = 0;
  std::optional<double> seconds_until_full;  // absent: not growing
  std::vector<std::string> failing_collectors;
  std::vector<Source> fastest;  // by new connections per second
  std::optional<Source> asked;  // the source of the question
};

// Raw answers: of /api/v1/status, and of /api/v1/sources twice.
struct DaemonAnswers {
  std::string status;
  std::string fastest;
  std::optional<std::string> asked;
};

// The answers may be malformed. Pure.
Result<RunningDaemon> ReadRunningDaemon(const DaemonAnswers& answers);

// Waits only briefly.
Result<RunningDaemon> AskRunningDaemon(const DaemonPeer& peer, const Question& question);

// Whether the daemon watches the table that was read here, as far as the figures show.
bool WatchesTheSame(const RunningDaemon& daemon, const TableStatistics& table);

}  // namespace conntally::diagnose

// ct_load: makes conntrack entries in the network namespace it runs in, by the hundred thousand a second.
//
// `create`, `update` and `delete` go through ctnetlink: the kernel makes and ends real entries and sends
// its real events, without the cost of packets. `churn` is a steady stream of both. `udp` sends real
// packets. Which connection number i is, is told in ct_load_tuple.h. The last line of output is JSON;
// the exit code is 1 when the kernel refused anything, 2 for a wrong argument.

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <string>

#include "test/support/ct_load_netlink.h"
#include "test/support/ct_load_udp.h"
#include "test/support/pace.h"

namespace conntally::ct_load {
namespace {

// Messages between two looks at the clock: 128 at 150,000/s is a pause of 0.85 ms.
constexpr std::uint64_t kPaceStep = 128;

struct Arguments {
  Plan plan;
  EntryOptions entry;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  double rate = 0;
  double seconds = 10;
  std::uint64_t live = 10'000;
  bool keep = false;
  bool lifecycle = false;
  std::uint64_t packets_each = 1;
  UdpDestinations destinations;
};

const std::map<std::string, Protocol> kProtocols = {
    {"mixed", Protocol::kMixed}, {"icmp", Protocol::kIcmp}, {"tcp", Protocol::kTcp}, {"udp", Protocol::kUdp}};
const std::map<std::string, std::uint8_t> kTcpStates = {{"syn_sent", 1},  {"syn_recv", 2},   {"established", 3},
                                                        {"fin_wait", 4},  {"close_wait", 5}, {"last_ack", 6},
                                                        {"time_wait", 7}, {"close", 8}};

int Report(const Writer& writer, double seconds) {
  const std::uint64_t accepted =
      writer.accepted(Verb::kCreate) + writer.accepted(Verb::kUpdate) + writer.accepted(Verb::kDelete);
  std::string refusals;
  for (const auto& [code, count] : writer.refusals()) {
    std::fprintf(stderr, "ct_load: the kernel refused %llu messages: %s\n", static_cast<unsigned long long>(count),
                 std::strerror(code));
    refusals += (refusals.empty() ? "" : ", ") + ("\"" + std::to_string(code) + "\": " + std::to_string(count));
  }
  std::printf(
      "{\"new\": %llu, \"update\": %llu, \"destroy\": %llu, \"refused\": {%s}, \"seconds\": %.3f, "
      "\"rate\": %.0f}\n",
      static_cast<unsigned long long>(writer.accepted(Verb::kCreate)),
      static_cast<unsigned long long>(writer.accepted(Verb::kUpdate)),
      static_cast<unsigned long long>(writer.accepted(Verb::kDelete)), refusals.c_str(), seconds,
      static_cast<double>(accepted) / seconds);
  return writer.refusals().empty() ? 0 : 1;
}

int Write(const Arguments& arguments, Verb verb) {
  Writer writer(arguments.entry);
  const Pace pace(arguments.rate);
  for (std::uint64_t done = 0; done < arguments.count; ++done) {
    Connection connection = ConnectionOf(arguments.plan, arguments.first + done);
    // An update is what a first reply does to an entry.
    if (verb == Verb::kUpdate) connection.replied = true;
    writer.Put(verb, connection);
    if (arguments.rate > 0 && done % kPaceStep == kPaceStep - 1) {
      writer.Flush();
      pace.WaitUntilDue(done + 1);
    }
  }
  writer.Flush();
  return Report(writer, pace.elapsed_seconds());
}

// What a TCP connection's entry goes through between NEW (syn_sent) and DESTROY.
constexpr std::array<std::uint8_t, 6> kTcpLifecycle = {2, 3, 3, 4, 6, 7};  // ASSURED is told by itself

int Churn(const Arguments& arguments) {
  Writer writer(arguments.entry);
  const auto create = [&](std::uint64_t index) {
    Connection connection = ConnectionOf(arguments.plan, index);
    if (arguments.lifecycle) connection.tcp_state = 1;
    writer.Put(Verb::kCreate, connection);
    if (!arguments.lifecycle) return;
    connection.replied = true;
    for (const std::uint8_t state : kTcpLifecycle) {
      connection.tcp_state = state;
      writer.Put(Verb::kUpdate, connection);
    }
  };
  const auto end = [&](std::uint64_t index) { writer.Put(Verb::kDelete, ConnectionOf(arguments.plan, index)); };

  std::uint64_t born = arguments.first;
  std::uint64_t gone = arguments.first;
  while (born - gone < arguments.live) create(born++);
  writer.Flush();

  const Pace pace(arguments.rate);
  const std::uint64_t messages_each = arguments.lifecycle ? 2 + kTcpLifecycle.size() : 2;
  std::uint64_t done = 0;
  while (pace.elapsed_seconds() < arguments.seconds) {
    for (std::uint64_t step = 0; step < kPaceStep; step += messages_each) {
      create(born++);
      end(gone++);
    }
    done += kPaceStep;
    if (arguments.rate > 0) writer.Flush();
    pace.WaitUntilDue(done);
  }
  writer.Flush();
  const double seconds = pace.elapsed_seconds();
  std::fprintf(stderr, "ct_load: steady part: %llu messages in %.3f s, %.0f/s\n", static_cast<unsigned long long>(done),
               seconds, static_cast<double>(done) / seconds);
  while (!arguments.keep && gone < born) end(gone++);
  writer.Flush();
  return Report(writer, seconds);
}

int Udp(const Arguments& arguments) {
  const Pace pace(0);
  const UdpResult result = SendUdp(arguments.plan, {arguments.first, arguments.count, arguments.packets_each,
                                                    arguments.rate, arguments.destinations});
  const double seconds = pace.elapsed_seconds();
  std::printf("{\"sent\": %llu, \"failed\": %llu, \"seconds\": %.3f, \"rate\": %.0f}\n",
              static_cast<unsigned long long>(result.sent), static_cast<unsigned long long>(result.failed), seconds,
              static_cast<double>(result.sent) / seconds);
  return result.failed == 0 ? 0 : 1;
}

void AddPlanOptions(CLI::App& command, Arguments& arguments) {
  command.add_option("--sources", arguments.plan.sources, "distinct source addresses")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{16'000'000}));
  command.add_option("--source-offset", arguments.plan.source_offset, "added to every source address")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{16'000'000}));
  command.add_option("--ipv6-share", arguments.plan.ipv6_share, "share of the sources that are IPv6")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--destination-ports", arguments.plan.destination_ports)->check(CLI::Range(1, 57'000));
  command.add_option("--first", arguments.first, "number of the first connection");
  command.add_option("--rate", arguments.rate, "messages a second; 0: as many as go")->check(CLI::NonNegativeNumber);
}

void AddEntryOptions(CLI::App& command, Arguments& arguments) {
  AddPlanOptions(command, arguments);
  command.add_option("--protocol", arguments.plan.protocol)->transform(CLI::CheckedTransformer(kProtocols));
  command.add_option("--zones", arguments.plan.zones, "e.g. 0,5")->delimiter(',');
  command.add_option("--timeout", arguments.entry.timeout_seconds, "seconds until the entry expires");
  command.add_option("--tcp-state", arguments.entry.tcp_state)->transform(CLI::CheckedTransformer(kTcpStates));
  command.add_option("--replied-every", arguments.plan.replied_every, "every n-th of a source is replied; 0: none");
}

int Run(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"makes conntrack entries in this network namespace"};
  app.require_subcommand(1);
  const std::map<std::string, Verb> verbs = {
      {"create", Verb::kCreate}, {"update", Verb::kUpdate}, {"delete", Verb::kDelete}};
  for (const auto& [name, verb] : verbs) {
    CLI::App* command = app.add_subcommand(name, name + " connections first … first + count - 1");
    AddEntryOptions(*command, arguments);
    command->add_option("--count", arguments.count)->required();
  }
  CLI::App* churn = app.add_subcommand("churn", "a steady stream of half NEW, half DESTROY");
  AddEntryOptions(*churn, arguments);
  churn->add_option("--seconds", arguments.seconds);
  churn->add_option("--live", arguments.live, "entries alive all along");
  churn->add_flag("--keep", arguments.keep, "leave the live ones behind");
  churn->add_flag("--lifecycle", arguments.lifecycle, "with the 6 UPDATEs of a TCP connection in between");
  CLI::App* udp = app.add_subcommand("udp", "real UDP packets");
  AddPlanOptions(*udp, arguments);
  udp->add_option("--count", arguments.count)->required();
  udp->add_option("--packets-each", arguments.packets_each);
  udp->add_option("--destination", arguments.destinations.ipv4, "instead of the plan's");
  udp->add_option("--destination6", arguments.destinations.ipv6);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (churn->parsed()) return Churn(arguments);
  if (udp->parsed()) return Udp(arguments);
  return Write(arguments, verbs.at(app.get_subcommands().front()->get_name()));
}

}  // namespace
}  // namespace conntally::ct_load

int main(int argc, char** argv) {
  try {
    return conntally::ct_load::Run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ct_load: %s\n", error.what());
    return 1;
  }
}

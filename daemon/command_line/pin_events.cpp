#include "daemon/command_line/pin_events.h"

#include <linux/netfilter/nfnetlink.h>

#include <ostream>
#include <string_view>

#include "collectors/bpf/attached_events.h"
#include "collectors/netlink/event_capacity.h"
#include "collectors/netlink/socket.h"
#include "daemon/command_line/load_config.h"

namespace conntally {
namespace {

Status Pin(const ConfigFile& file) {
  const ConfigOrFaults loaded = LoadConfig(file, {});
  const auto* config = std::get_if<Config>(&loaded);
  if (config == nullptr) return Error{file.path + " has faults: conntally check-config names them", EINVAL};
  // Listening makes the kernel load the module whose function the program is attached to.
  auto socket = NetlinkSocket::Open();
  if (!socket) return socket.error();
  if (const auto joined = socket->Join(NFNLGRP_CONNTRACK_NEW); !joined) return joined.error();
  return PinEvents(kEventPins, EventsHeldBy(config->conntrack.receive_buffer_bytes));
}

}  // namespace

int PinOrUnpinEvents(std::span<const char* const> arguments, std::ostream& errors) {
  const std::string_view verb = arguments.size() > 2 ? arguments[2] : "";
  ConfigFile file;
  const bool names_file = arguments.size() == 5 && std::string_view(arguments[3]) == "--config";
  if (names_file) file = {arguments[4], true};
  if ((verb != "pin" && verb != "unpin") || (arguments.size() != 3 && !names_file)) {
    errors << "conntally: " << kPinEventsCommand << " takes pin or unpin, and perhaps --config FILE\n";
    return 1;
  }
  const Status done = verb == "pin" ? Pin(file) : UnpinEvents(kEventPins);
  if (done) return 0;
  errors << "conntally: cannot " << verb << " the program of events: " << done.error().message
         << "; without it events come by netlink, where conntrack.event_source is auto\n";
  return 1;
}

}  // namespace conntally

// What must be known of a message before libnetfilter_conntrack may be asked about it: see the
// exceptions in conntrack_oracle.h. Walks with libmnl, not with the walk under test. Any thread.
#pragma once

#include <libmnl/libmnl.h>

#include <cstddef>

namespace conntally::test {

struct MessageShape {
  bool refused = false;         // exceptions (b) and (c): DecodeFlow has to refuse
  bool oracle_unsafe = false;   // exception (g): the library must not see it
  bool foreign_fields = false;  // exception (f)
};

// `header` is whole (its nlmsg_len is at hand), aligned, and holds a nfgenmsg.
MessageShape InspectMessage(const nlmsghdr* header);

}  // namespace conntally::test

#include "test/support/catch.h"
#include "test/unit/daemon/diagnose/staged.h"

using namespace conntally;
using namespace conntally::diagnose;

TEST_CASE("a program hangs where packets wait and it decides on none") {
  Staged staged;
  HostFacts& host = staged.host;
  CHECK_FALSE(host.Hangs(7));  // not known
  host.first.queues = {{7, {.waiting = 2, .queued = 10}}};
  host.last.queues = {{7, {.waiting = 5, .queued = 13}}};
  CHECK(host.Hangs(7));
  CHECK_FALSE(host.Hangs(8));
  host.last.queues->at(7).waiting = 4;  // it decided on one
  CHECK_FALSE(host.Hangs(7));
  host.first.queues->at(7) = host.last.queues->at(7) = {.waiting = 0, .queued = 10};  // nothing came
  CHECK_FALSE(host.Hangs(7));
  host.last.queues->at(7) = {.waiting = 1, .queued = 1};  // another program since
  CHECK_FALSE(host.Hangs(7));
}

#include "daemon/page/page.h"

#include "test/support/catch.h"
#include "test/unit/daemon/observation/snapshot/full_snapshot.h"

using namespace conntally;
using namespace conntally::test;

TEST_CASE("the page escapes what it is told") {
  Snapshot snapshot = FullSnapshot();
  snapshot.collectors["table"].failure = "<script>alert(\"x\")</script> & co";
  const std::string body = std::get<std::string>(AnswerPage(snapshot).body);
  CHECK(body.find("<script>alert") == body.npos);
  CHECK(body.find("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; co") != body.npos);
}

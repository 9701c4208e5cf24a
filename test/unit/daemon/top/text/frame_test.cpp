#include "daemon/top/text/frame.h"

#include "test/support/catch.h"

using namespace conntally::top;

TEST_CASE("plain text has no escape sequence and no trailing space") {
  const Frame frame = {Row().Add("bold", Style::kBold).Add("  "), Row().Add("0123456789")};
  CHECK(PlainText(frame, {5, 2}) == "bold\n0123~\n");
}

TEST_CASE("a row gives no more than fits, each span in its style") {
  const Row row = Row().Add("abc", Style::kCritical).Add("defgh", Style::kGood).Add("ij");
  CHECK(row.Fitting(5) == std::vector<Span>{{"abc", Style::kCritical}, {"d~", Style::kGood}});
  CHECK(row.Fitting(3) == std::vector<Span>{{"abc", Style::kCritical}});
  CHECK(row.Fitting(100).size() == 3);
}

TEST_CASE("a selected row is filled up to the width in one style") {
  Row row = Row().Add("a", Style::kGood).Add("b");
  row.Cover(Style::kSelected, 5);
  CHECK(row.width() == 5);
  for (const Span& span : row.Fitting(5)) CHECK(span.style == Style::kSelected);
}

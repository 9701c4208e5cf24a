// What a source has shown, and what failed: from the writer's notes to the figures of a view.
#include "collectors/tally/tally.h"
#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

constexpr Tally::Time kNow{1'700'000'000s};

struct OneSource {
  OneSource() : tally(1, KeyedHash(KeyedHash::Secret{9})), writer(tally.AddWriter()) {
    TallyWriter::Batch batch(writer);
    address.bytes[0] = 7;
    row = batch.Acquire(address, writer.Hash(address));
  }
  void Show(Proof proof, const SourceDelta& delta = {}) {
    TallyWriter::Batch batch(writer);
    batch.AddSource(row, delta);
    batch.NoteProof(row, proof);
  }
  SourceFigures After(std::chrono::seconds elapsed) {
    Tally::View view = tally.Take(kNow);
    tally.Advance(view, kNow, elapsed, 10min);
    return view.Source(row).value_or(SourceFigures{});
  }

  Tally tally;
  TallyWriter& writer;
  IpAddress address;
  SourceRow row;
};

}  // namespace

TEST_CASE("a source is what it has shown at most, and less may follow") {
  OneSource one;
  CHECK(one.After(1s).proof == Proof::kUnanswered);
  one.Show(Proof::kAnswered);
  CHECK(one.After(1s).proof == Proof::kAnswered);
  one.Show(Proof::kProven);
  one.Show(Proof::kAnswered);
  CHECK(one.After(1s).proof == Proof::kProven);
  one.Show(Proof::kUnanswered);
  CHECK(one.After(1s).proof == Proof::kProven);
}

TEST_CASE("what was shown is forgotten after a while, the proof before the answer that came later") {
  OneSource one;
  one.Show(Proof::kProven);
  one.After(1s);
  one.After(30min);
  one.Show(Proof::kAnswered);
  one.After(1s);
  CHECK(one.After(29min).proof == Proof::kProven);
  CHECK(one.After(1min).proof == Proof::kAnswered);
  CHECK(one.After(30min).proof == Proof::kUnanswered);
}

TEST_CASE("a proven source that holds an answered connection stays proven without a word") {
  OneSource one;
  one.Show(Proof::kProven, {.connections = 1});
  for (int i = 0; i < 180; ++i) one.After(60s);
  CHECK(one.After(1s).proof == Proof::kProven);
  CHECK(one.After(1s).regular_minutes == 15);
  one.Show(Proof::kUnanswered, {.unreplied = 1});  // what it holds now shows nothing
  one.After(59min);
  CHECK(one.After(2min).proof == Proof::kUnanswered);
}

TEST_CASE("a proof is kept from the second in which the last answered connection ended") {
  OneSource one;
  one.Show(Proof::kProven, {.connections = 1});
  for (int i = 0; i < 50; ++i) one.After(1s);
  one.Show(Proof::kUnanswered, {.unreplied = 1});
  one.After(1s);
  CHECK(one.After(3570s).proof == Proof::kProven);
  CHECK(one.After(60s).proof == Proof::kUnanswered);
}

TEST_CASE("a source that only holds half-open connections shows nothing, though they were replied to") {
  OneSource one;
  one.Show(Proof::kUnanswered, {.connections = 30});
  one.After(60s);
  CHECK(one.After(60s).proof == Proof::kUnanswered);
  CHECK(one.After(1s).regular_minutes == 0);
}

TEST_CASE("regular minutes are those of the last fifteen in which something was shown, each once") {
  OneSource one;
  const auto show_for_seconds = [&](int seconds) {
    for (int i = 0; i < seconds; i += 5) {
      one.Show(Proof::kAnswered);
      one.After(5s);
    }
  };
  show_for_seconds(60);
  CHECK_FALSE(one.After(1s).regular());
  show_for_seconds(120);
  const SourceFigures figures = one.After(1s);
  CHECK(figures.regular_minutes >= 3);
  CHECK(figures.regular_minutes <= 4);  // the minutes of the uptime are not ours
  CHECK(figures.regular());
  CHECK(one.After(11min).regular_minutes >= 2);
  CHECK(one.After(5min).regular_minutes == 0);
}

TEST_CASE("failures are counted with the ends that they are part of, over views and lanes") {
  OneSource one;
  for (int i = 0; i < 5; ++i) {
    one.Show(Proof::kUnanswered, {.closed = 2, .failed = 1});
    one.After(1s);
  }
  one.Show(Proof::kUnanswered, {.closed = 1});
  const SourceFigures figures = one.After(1s);
  CHECK(figures.failed == 5);
  CHECK(figures.closed == 11);
}

TEST_CASE("the row's next source begins with nothing shown and nothing failed") {
  OneSource one;
  one.Show(Proof::kProven, {.closed = 1, .failed = 1});
  {
    TallyWriter::Batch batch(one.writer);
    batch.Release(one.row);
  }
  Tally::View view = one.tally.Take(kNow);
  one.tally.Advance(view, kNow, 1s, 0s);
  REQUIRE(!view.Source(one.row));
  { const Tally::View ended = std::move(view); }
  one.tally.Take(kNow);
  {
    TallyWriter::Batch batch(one.writer);
    one.address.bytes[0] = 8;
    REQUIRE(batch.Acquire(one.address, one.writer.Hash(one.address)) == one.row);
  }
  const SourceFigures figures = one.After(1s);
  CHECK(figures.source == one.address);
  CHECK(figures.proof == Proof::kUnanswered);
  CHECK(figures.regular_minutes == 0);
  CHECK(figures.failed == 0);
}

TEST_CASE("a source that has shown something is forgotten like any other once it is idle") {
  OneSource one;
  one.Show(Proof::kProven);
  {
    TallyWriter::Batch batch(one.writer);
    batch.Release(one.row);
  }
  Tally::View view = one.tally.Take(kNow);
  one.Show(Proof::kAnswered);  // a late note of another batch
  one.tally.Advance(view, kNow, 1s, 0s);
  CHECK(!view.Source(one.row));
}

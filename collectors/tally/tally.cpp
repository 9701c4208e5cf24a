#include "collectors/tally/tally.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace conntally {
namespace {

using namespace std::chrono_literals;

constexpr double kRateFloor = 1e-3;  // openings per second; below it a decaying rate is called zero

}  // namespace

Tally::Tally(std::uint32_t sources_max, KeyedHash hash)
    : sources_(sources_max, sources_max - sources_max / 8, hash), crowd_max_(std::max(sources_max / 16, 64U)) {}
Tally::~Tally() = default;

TallyWriter& Tally::AddWriter() {
  const std::lock_guard lock(readers_);
  writers_.push_back(std::make_unique<TallyWriter>(epochs_.Register(), sources_));
  return *writers_.back();
}

Tally::View Tally::Take(WallSeconds now) {
  std::unique_lock lock(readers_);
  const std::size_t frozen_lane = epochs_.Flip();
  sources_.FreeRetired();
  Fold(frozen_lane, now);
  return View(*this, std::move(lock));
}

void Tally::Fold(std::size_t frozen_lane, WallSeconds now) {
  ledger_.resize(
      sources_.row_count());  // first, since it may throw: what the lane holds is then folded when it is frozen again
  for (const auto& writer : writers_) writer->totals_.TakeLane(frozen_lane, totals_);
  for (SourceRow row = 0; row < ledger_.size(); ++row) FoldRow(row, frozen_lane, now);
}

void Tally::FoldRow(SourceRow row, std::size_t frozen_lane, WallSeconds now) {
  Ledger& ledger = ledger_[row];
  if (ledger.standing == Standing::kNone) {
    const auto source = sources_.LiveSource(row);
    if (!source) return;
    ledger = Ledger{};
    ledger.standing = sources_.IsGathering(row) ? Standing::kGathering : Standing::kShown;
    ledger.figures.source = *source;
    ledger.figures.first_seen = ledger.figures.last_seen = now;
  }
  const SourceDelta delta = sources_.TakeLane(row, frozen_lane);
  SourceFigures& figures = ledger.figures;
  if (ledger.standing != Standing::kShown) {
    totals_.unattributed_connections += delta.connections;
    if (ledger.standing == Standing::kGathered) {
      ledger.standing = Standing::kShown;
      totals_.unattributed_connections -= figures.connections + delta.connections;
    } else if (ledger.standing == Standing::kGathering && !sources_.IsGathering(row)) {
      ledger.standing = Standing::kGathered;
    }
  }
  if (delta.IsZero()) return;
  figures.connections += delta.connections;
  figures.unreplied += delta.unreplied;
  figures.destination_ports += delta.destination_ports;
  figures.opened += delta.opened;
  figures.closed += delta.closed;
  figures.failed += delta.failed;
  figures.last_seen = now;
}

void Tally::Advance(View&, WallSeconds now, std::chrono::duration<double> elapsed,
                    std::chrono::seconds idle_retention) {
  if (elapsed.count() <= 0) return;
  const auto minute = [this] { return static_cast<unsigned>(uptime_.count() / 60); };
  const unsigned minute_before = minute();
  uptime_ += elapsed;
  const unsigned minutes_passed = minute() - minute_before;
  const double weight = -std::expm1(-elapsed / std::chrono::duration<double>(kRateWindow));
  for (SourceRow row = 0; row < ledger_.size(); ++row) {
    Ledger& ledger = ledger_[row];
    if (ledger.standing == Standing::kNone) continue;
    SourceFigures& figures = ledger.figures;
    const auto opened = static_cast<double>(figures.opened - ledger.opened_at_last_advance);
    ledger.opened_at_last_advance = figures.opened;
    figures.new_rate += (opened / elapsed.count() - figures.new_rate) * weight;
    if (figures.new_rate < kRateFloor) figures.new_rate = 0;
    AdvanceProof(ledger, sources_.TakeProof(row), minutes_passed);
  }
  MakeRoom(now, idle_retention);
}

std::size_t Tally::PlaceOf(const SourceFigures& figures) {
  const auto weight = static_cast<std::size_t>(std::clamp<std::int64_t>(figures.connections, 0, kWeights - 1));
  return weight + (figures.proof == Proof::kProven ? kWeights : 0);
}

void Tally::MakeRoom(WallSeconds now, std::chrono::seconds idle_retention) {
  Places places{};
  std::uint32_t idle_strangers = 0;
  // At once where somebody waits for their rows.
  const auto brief = std::min(idle_retention, totals_.unattributed_connections > 0 ? 0s : kCrowdRetention);
  for (SourceRow row = 0; row < ledger_.size(); ++row) {
    Ledger& ledger = ledger_[row];
    const SourceFigures& figures = ledger.figures;
    if (ledger.standing != Standing::kShown && ledger.standing != Standing::kLeaving) continue;
    const bool stranger = figures.proof != Proof::kProven && !figures.regular();
    const auto retention = ledger.standing == Standing::kLeaving ? 0s : stranger && crowded_ ? brief : idle_retention;
    // Only a sum of zero: what the lanes hold of a row without references is then nothing, either.
    if (figures.connections == 0 && now - figures.last_seen >= retention && sources_.Retire(row)) {
      ledger.standing = Standing::kNone;
      continue;
    }
    if (ledger.standing == Standing::kLeaving) continue;
    if (figures.connections == 0 && stranger) ++idle_strangers;
    ++places[PlaceOf(figures)];
  }
  crowded_ = idle_strangers > crowd_max_;

  Displace(sources_.crowding(), places);
}

// Never a proven source that holds a connection: where all are such, who comes last has no row.
void Tally::Displace(std::uint32_t wanted, const Places& places) {
  std::size_t last = 0;
  std::uint32_t before = 0;  // sources that go before those of the last place
  for (; last < kWeights && before + places[last] < std::max(wanted, 1U); ++last) before += places[last];
  sources_.set_light_connections(static_cast<std::int64_t>(last));
  std::uint32_t of_last = std::min(wanted - std::min(before, wanted), places[last]);
  for (SourceRow row = 0; row < ledger_.size() && wanted > 0; ++row) {
    Ledger& ledger = ledger_[row];
    if (ledger.standing != Standing::kShown) continue;
    const std::size_t place = PlaceOf(ledger.figures);
    if (place > last || (place == last && of_last == 0)) continue;
    if (place == last) --of_last;
    sources_.Displace(row);
    ledger.standing = Standing::kLeaving;
    totals_.unattributed_connections += ledger.figures.connections;
  }
}

void Tally::AdvanceProof(Ledger& ledger, Proof shown, unsigned minutes_passed) const {
  SourceFigures& figures = ledger.figures;
  const bool holds_replied = figures.connections > figures.unreplied;
  if (holds_replied) shown = std::max(shown, figures.proof);
  const auto now = static_cast<std::uint32_t>(uptime_.count());
  if (shown == Proof::kProven) ledger.proven_at = now;
  if (shown >= Proof::kAnswered) ledger.answered_at = now;
  const auto kept = [now](std::uint32_t at) { return at != 0 && now - at < std::chrono::seconds(kProofKept).count(); };
  figures.proof = kept(ledger.proven_at)     ? Proof::kProven
                  : kept(ledger.answered_at) ? Proof::kAnswered
                                             : Proof::kUnanswered;
  constexpr unsigned kMinutes = kRegularWindow.count();
  const std::uint32_t minutes =
      minutes_passed >= kMinutes ? 0U : static_cast<std::uint32_t>(ledger.minutes) << minutes_passed;
  ledger.minutes =
      static_cast<std::uint16_t>((minutes & ((1U << kMinutes) - 1)) | (shown >= Proof::kAnswered ? 1U : 0U));
  figures.regular_minutes = static_cast<std::uint8_t>(std::popcount(ledger.minutes));
}

const TotalFigures& Tally::View::totals() const { return tally_->totals_; }
SourceRow Tally::View::row_count() const { return static_cast<SourceRow>(tally_->ledger_.size()); }
const SourceFigures* Tally::View::Source(SourceRow row) const {
  const Ledger& ledger = tally_->ledger_[row];
  return ledger.standing == Standing::kShown ? &ledger.figures : nullptr;
}

}  // namespace conntally

#include "collectors/tally/tally.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace conntally {
namespace {

constexpr double kRateFloor = 1e-3;  // openings per second; below it a decaying rate is called zero

}  // namespace

Tally::Tally(std::uint32_t sources_max, KeyedHash hash) : sources_(sources_max, hash) {}
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
  if (!ledger.live) {
    const auto source = sources_.LiveSource(row);
    if (!source) return;
    ledger = Ledger{};
    ledger.live = true;
    ledger.figures.source = *source;
    ledger.figures.first_seen = ledger.figures.last_seen = now;
  }
  const SourceDelta delta = sources_.TakeLane(row, frozen_lane);
  if (delta.IsZero()) return;
  SourceFigures& figures = ledger.figures;
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
    if (!ledger.live) continue;
    SourceFigures& figures = ledger.figures;
    const auto opened = static_cast<double>(figures.opened - ledger.opened_at_last_advance);
    ledger.opened_at_last_advance = figures.opened;
    figures.new_rate += (opened / elapsed.count() - figures.new_rate) * weight;
    if (figures.new_rate < kRateFloor) figures.new_rate = 0;
    AdvanceProof(ledger, sources_.TakeProof(row), minutes_passed);
    const bool idle = figures.connections == 0 && now - figures.last_seen >= idle_retention;
    if (idle && sources_.Retire(row)) ledger.live = false;
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
  ledger.minutes = minutes_passed >= kMinutes ? 0 : static_cast<std::uint16_t>(ledger.minutes << minutes_passed);
  ledger.minutes &= (1U << kMinutes) - 1;
  if (shown >= Proof::kAnswered) ledger.minutes |= 1;
  figures.regular_minutes = static_cast<std::uint8_t>(std::popcount(ledger.minutes));
}

const TotalFigures& Tally::View::totals() const { return tally_->totals_; }
SourceRow Tally::View::row_count() const { return static_cast<SourceRow>(tally_->ledger_.size()); }
const SourceFigures* Tally::View::Source(SourceRow row) const {
  const Ledger& ledger = tally_->ledger_[row];
  return ledger.live ? &ledger.figures : nullptr;
}

}  // namespace conntally

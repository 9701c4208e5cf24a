#include "collectors/tally/tally.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>

namespace conntally {
namespace {

using namespace std::chrono_literals;

constexpr float kRateFloor = 1e-3F;  // openings per second; a decaying rate below it becomes zero

std::uint32_t SecondsOf(Tally::Time at) {
  return static_cast<std::uint32_t>(std::chrono::floor<std::chrono::seconds>(at.time_since_epoch()).count());
}
Tally::Time TimeOf(std::uint32_t seconds) { return Tally::Time(std::chrono::seconds(seconds)); }

}  // namespace

Tally::Tally(std::uint32_t sources_max, KeyedHash hash)
    : sources_(sources_max, sources_max - sources_max / 8, hash), crowd_max_(std::max(sources_max / 16, 64U)) {
  // Its pages are the system's until they are used. Growing would copy all of it, and hold it twice meanwhile.
  constexpr std::uint32_t kReservedMax = 1U << 20;
  ledger_.reserve(std::min(sources_max, kReservedMax));
}
Tally::~Tally() = default;

TallyWriter& Tally::AddWriter() {
  const std::lock_guard lock(readers_);
  writers_.push_back(std::make_unique<TallyWriter>(epochs_.Register(), sources_));
  return *writers_.back();
}

Tally::View Tally::Take(Time now) {
  std::unique_lock lock(readers_);
  const std::size_t frozen_lane = epochs_.Flip();
  sources_.FreeRetired();
  Fold(frozen_lane, now);
  return View(*this, std::move(lock));
}

void Tally::Fold(std::size_t frozen_lane, Time now) {
  // First, since it may throw: the lane is then folded when it is frozen next.
  ledger_.resize(sources_.row_count());
  blocks_.resize((ledger_.size() + SourceTable::kRowsPerBlock - 1) / SourceTable::kRowsPerBlock);
  for (const auto& writer : writers_) writer->totals_.TakeLane(frozen_lane, totals_);
  sources_.TakeTouched(frozen_lane, [&](SourceRow first, SourceRow end) {
    for (SourceRow row = first; row < end && row < ledger_.size(); ++row) FoldRow(row, frozen_lane, now);
    if (first < ledger_.size()) Summarize(first);
  });
  RevealGathered();
}

void Tally::FoldRow(SourceRow row, std::size_t frozen_lane, Time now) {
  Ledger& ledger = ledger_[row];
  if (ledger.standing == Standing::kNone) {
    if (!sources_.LiveSource(row)) return;
    const bool gathers = sources_.IsGathering(row);
    if (gathers) gathering_.push_back(row);
    ledger = Ledger{};
    ledger.standing = gathers ? Standing::kGathering : Standing::kShown;
    ledger.first_seen = ledger.last_seen = SecondsOf(now);
    Enlist(ledger, 1);
  }
  if (const Proof shown = sources_.TakeProof(row); shown > ledger.shown) ledger.shown = shown;
  const SourceDelta delta = sources_.TakeLane(row, frozen_lane);
  if (delta.IsZero()) return;
  if (ledger.standing != Standing::kShown) totals_.unattributed_connections += delta.connections;
  Enlist(ledger, -1);
  if (ledger.connections > ledger.unreplied) NoteShown(ledger, ledger.proof);  // it held them until now
  ledger.connections += delta.connections;
  ledger.unreplied += delta.unreplied;
  totals_.unreplied += delta.unreplied;
  ledger.destination_ports += delta.destination_ports;
  ledger.opened += delta.opened;
  ledger.closed += delta.closed;
  ledger.failed += delta.failed;
  ledger.last_seen = SecondsOf(now);
  Enlist(ledger, 1);
}

void Tally::Summarize(SourceRow first) {
  Block figures;
  const auto end = std::min<std::size_t>(first + SourceTable::kRowsPerBlock, ledger_.size());
  for (std::size_t row = first; row < end; ++row) {
    const Ledger& ledger = ledger_[row];
    if (ledger.standing != Standing::kShown) continue;
    const std::int32_t proven = ledger.proof == Proof::kProven ? ledger.connections : 0;
    figures.connections_max = std::max(figures.connections_max, ledger.connections);
    figures.unreplied_max = std::max(figures.unreplied_max, ledger.unreplied);
    figures.proven_connections_max = std::max(figures.proven_connections_max, proven);
    figures.new_rate_max = std::max(figures.new_rate_max, ledger.new_rate);
    figures.connections += ledger.connections;
    figures.unreplied += ledger.unreplied;
    figures.proven_connections += proven;
    figures.new_rate += static_cast<double>(ledger.new_rate);
  }
  BlockState& block = BlockOf(first);
  block.figures = figures;
  block.lively = true;
}

bool Tally::IsStranger(const Ledger& ledger) {
  return ledger.proof != Proof::kProven && ledger.regular_minutes() < SourceFigures::kRegularMinutesMin;
}

void Tally::Enlist(const Ledger& ledger, int change) {
  if (ledger.standing != Standing::kShown) return;
  places_[PlaceOf(ledger)] += static_cast<std::uint32_t>(change);
  if (ledger.connections == 0 && IsStranger(ledger)) idle_strangers_ += static_cast<std::uint32_t>(change);
}

// A row is shown one fold after it was seen to be revealed: see Standing.
void Tally::RevealGathered() {
  std::erase_if(gathering_, [&](SourceRow row) {
    Ledger& ledger = ledger_[row];
    if (ledger.standing == Standing::kGathered) {
      ledger.standing = Standing::kShown;
      Enlist(ledger, 1);
      Summarize(row - row % SourceTable::kRowsPerBlock);
      totals_.unattributed_connections -= ledger.connections;
      return true;
    }
    if (!sources_.IsGathering(row)) ledger.standing = Standing::kGathered;
    return false;
  });
}

void Tally::Advance(View&, Time now, std::chrono::duration<double> elapsed, std::chrono::seconds idle_retention) {
  if (elapsed.count() <= 0) return;
  uptime_ += elapsed;
  const auto minute = static_cast<unsigned>(uptime_.count() / 60);
  const Step step{.now = now,
                  .seconds = static_cast<float>(elapsed.count()),
                  .weight = static_cast<float>(-std::expm1(-elapsed / std::chrono::duration<double>(kRateWindow))),
                  .retention = idle_retention,
                  // At once if other sources need their rows.
                  .brief = std::min(idle_retention, totals_.unattributed_connections > 0 ? 0s : kCrowdRetention)};
  for (SourceRow first = 0; first < ledger_.size(); first += SourceTable::kRowsPerBlock) {
    BlockState& block = BlockOf(first);
    const unsigned minutes_passed = minute - std::exchange(block.minute, minute);
    if (!block.lively && minutes_passed == 0) continue;
    bool lively = false;
    const auto end = std::min<std::size_t>(first + SourceTable::kRowsPerBlock, ledger_.size());
    for (SourceRow row = first; row < end; ++row) lively = AdvanceRow(row, step, minutes_passed) || lively;
    Summarize(first);
    block.lively = lively;
  }
  crowded_ = idle_strangers_ > crowd_max_;
  Displace(sources_.crowding());
}

bool Tally::AdvanceRow(SourceRow row, const Step& step, unsigned minutes_passed) {
  Ledger& ledger = ledger_[row];
  if (ledger.standing == Standing::kNone) return false;
  const auto opened = static_cast<std::uint32_t>(ledger.opened) - ledger.opened_at_last_advance;
  ledger.opened_at_last_advance = static_cast<std::uint32_t>(ledger.opened);
  ledger.new_rate += (static_cast<float>(opened) / step.seconds - ledger.new_rate) * step.weight;
  if (ledger.new_rate < kRateFloor) ledger.new_rate = 0;
  Enlist(ledger, -1);
  AdvanceProof(ledger, minutes_passed);
  const bool leaves = ledger.standing == Standing::kLeaving;
  if (ledger.standing == Standing::kShown || leaves) {
    const auto retention = leaves ? 0s : crowded_ && IsStranger(ledger) ? step.brief : step.retention;
    if (Forgets(row, step.now, retention)) return false;
  }
  Enlist(ledger, 1);
  return ledger.standing != Standing::kShown || ledger.connections == 0 || ledger.new_rate > 0;
}

bool Tally::Forgets(SourceRow row, Time now, std::chrono::seconds retention) {
  Ledger& ledger = ledger_[row];
  // Only at zero connections: then the lanes of a row without references are empty too.
  if (ledger.connections != 0 || now - TimeOf(ledger.last_seen) < retention || !sources_.Retire(row)) return false;
  ledger.standing = Standing::kNone;
  return true;
}

std::size_t Tally::PlaceOf(const Ledger& ledger) {
  const auto weight = static_cast<std::size_t>(std::clamp<std::int64_t>(ledger.connections, 0, kWeights - 1));
  return weight + (ledger.proof == Proof::kProven ? kWeights : 0);
}

// Never a proven source with a connection: if all are such, the last comers have no row.
void Tally::Displace(std::uint32_t wanted) {
  std::size_t last = 0;
  std::uint32_t before = 0;  // sources that make room before those of the last place
  for (; last < kWeights && before + places_[last] < std::max(wanted, 1U); ++last) before += places_[last];
  sources_.set_light_connections(static_cast<std::int64_t>(last));
  std::uint32_t of_last = std::min(wanted - std::min(before, wanted), places_[last]);
  for (SourceRow row = 0; row < ledger_.size() && wanted > 0; ++row) {
    Ledger& ledger = ledger_[row];
    if (ledger.standing != Standing::kShown) continue;
    const std::size_t place = PlaceOf(ledger);
    if (place > last || (place == last && of_last == 0)) continue;
    if (place == last) --of_last;
    sources_.Displace(row);
    Enlist(ledger, -1);
    ledger.standing = Standing::kLeaving;
    Summarize(row - row % SourceTable::kRowsPerBlock);
    totals_.unattributed_connections += ledger.connections;
  }
}

void Tally::NoteShown(Ledger& ledger, Proof shown) const {
  const auto now = static_cast<std::uint32_t>(uptime_.count());
  if (shown == Proof::kProven) ledger.proven_at = now;
  if (shown >= Proof::kAnswered) ledger.answered_at = now;
}

void Tally::AdvanceProof(Ledger& ledger, unsigned minutes_passed) const {
  Proof shown = ledger.shown;
  ledger.shown = Proof::kUnanswered;
  const bool holds_replied = ledger.connections > ledger.unreplied;
  if (holds_replied) shown = std::max<Proof>(shown, ledger.proof);
  NoteShown(ledger, shown);
  const auto now = static_cast<std::uint32_t>(uptime_.count());
  const auto kept = [now](std::uint32_t at) { return at != 0 && now - at < std::chrono::seconds(kProofKept).count(); };
  ledger.proof = kept(ledger.proven_at)     ? Proof::kProven
                 : kept(ledger.answered_at) ? Proof::kAnswered
                                            : Proof::kUnanswered;
  constexpr unsigned kMinutes = kRegularWindow.count();
  const std::uint32_t minutes =
      minutes_passed >= kMinutes ? 0U : static_cast<std::uint32_t>(ledger.minutes) << minutes_passed;
  ledger.minutes =
      static_cast<std::uint16_t>((minutes & ((1U << kMinutes) - 1)) | (shown >= Proof::kAnswered ? 1U : 0U));
}

SourceRow Tally::View::Find(const IpAddress& source) const {
  const SourceRow row = tally_->sources_.Find(source);
  const bool shown = row < tally_->ledger_.size() && tally_->ledger_[row].standing == Standing::kShown;
  return shown ? row : kNoSourceRow;
}

const TotalFigures& Tally::View::totals() const { return tally_->totals_; }
std::optional<SourceFigures> Tally::View::Source(SourceRow row) const {
  const Ledger& ledger = tally_->ledger_[row];
  if (ledger.standing != Standing::kShown) return std::nullopt;
  return Tally::Source(*tally_, row, ledger).figures();
}

SourceFigures Tally::Source::figures() const {
  return {.source = address(),
          .connections = ledger_.connections,
          .unreplied = ledger_.unreplied,
          .destination_ports = ledger_.destination_ports,
          .opened = ledger_.opened,
          .closed = ledger_.closed,
          .new_rate = ledger_.new_rate,
          .failed = ledger_.failed,
          .proof = ledger_.proof,
          .regular_minutes = ledger_.regular_minutes(),
          .first_seen = TimeOf(ledger_.first_seen),
          .last_seen = TimeOf(ledger_.last_seen)};
}

}  // namespace conntally

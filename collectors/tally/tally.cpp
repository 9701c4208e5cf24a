#include "collectors/tally/tally.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

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
  ledger_.resize(sources_.row_count());  // first, since it may throw: the lane is then folded when it is frozen next
  for (const auto& writer : writers_) writer->totals_.TakeLane(frozen_lane, totals_);
  sources_.TakeTouched(frozen_lane, [&](SourceRow first, SourceRow end) {
    for (SourceRow row = first; row < end && row < ledger_.size(); ++row) FoldRow(row, frozen_lane, now);
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
  }
  if (const Proof shown = sources_.TakeProof(row); shown > ledger.shown) ledger.shown = shown;
  const SourceDelta delta = sources_.TakeLane(row, frozen_lane);
  if (delta.IsZero()) return;
  if (ledger.standing != Standing::kShown) totals_.unattributed_connections += delta.connections;
  ledger.connections += delta.connections;
  ledger.unreplied += delta.unreplied;
  totals_.unreplied += delta.unreplied;
  ledger.destination_ports += delta.destination_ports;
  ledger.opened += delta.opened;
  ledger.closed += delta.closed;
  ledger.failed += delta.failed;
  ledger.last_seen = SecondsOf(now);
}

// A row is shown one fold after it was seen to be revealed: see Standing.
void Tally::RevealGathered() {
  std::erase_if(gathering_, [&](SourceRow row) {
    Ledger& ledger = ledger_[row];
    if (ledger.standing == Standing::kGathered) {
      ledger.standing = Standing::kShown;
      totals_.unattributed_connections -= ledger.connections;
      return true;
    }
    if (!sources_.IsGathering(row)) ledger.standing = Standing::kGathered;
    return false;
  });
}

void Tally::Advance(View&, Time now, std::chrono::duration<double> elapsed, std::chrono::seconds idle_retention) {
  if (elapsed.count() <= 0) return;
  const auto minute = [this] { return static_cast<unsigned>(uptime_.count() / 60); };
  const unsigned minute_before = minute();
  uptime_ += elapsed;
  const unsigned minutes_passed = minute() - minute_before;
  const auto seconds = static_cast<float>(elapsed.count());
  const auto weight = static_cast<float>(-std::expm1(-elapsed / std::chrono::duration<double>(kRateWindow)));
  Places places{};
  std::uint32_t idle_strangers = 0;
  // At once if other sources need their rows.
  const auto brief = std::min(idle_retention, totals_.unattributed_connections > 0 ? 0s : kCrowdRetention);
  for (SourceRow row = 0; row < ledger_.size(); ++row) {
    Ledger& ledger = ledger_[row];
    if (ledger.standing == Standing::kNone) continue;
    const auto opened = static_cast<std::uint32_t>(ledger.opened) - ledger.opened_at_last_advance;
    ledger.opened_at_last_advance = static_cast<std::uint32_t>(ledger.opened);
    ledger.new_rate += (static_cast<float>(opened) / seconds - ledger.new_rate) * weight;
    if (ledger.new_rate < kRateFloor) ledger.new_rate = 0;
    AdvanceProof(ledger, minutes_passed);
    const bool leaves = ledger.standing == Standing::kLeaving;
    if (ledger.standing != Standing::kShown && !leaves) continue;
    const bool stranger =
        ledger.proof != Proof::kProven && ledger.regular_minutes() < SourceFigures::kRegularMinutesMin;
    if (Forgets(row, now, leaves ? 0s : stranger && crowded_ ? brief : idle_retention) || leaves) continue;
    if (ledger.connections == 0 && stranger) ++idle_strangers;
    ++places[PlaceOf(ledger)];
  }
  crowded_ = idle_strangers > crowd_max_;
  Displace(sources_.crowding(), places);
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
void Tally::Displace(std::uint32_t wanted, const Places& places) {
  std::size_t last = 0;
  std::uint32_t before = 0;  // sources that make room before those of the last place
  for (; last < kWeights && before + places[last] < std::max(wanted, 1U); ++last) before += places[last];
  sources_.set_light_connections(static_cast<std::int64_t>(last));
  std::uint32_t of_last = std::min(wanted - std::min(before, wanted), places[last]);
  for (SourceRow row = 0; row < ledger_.size() && wanted > 0; ++row) {
    Ledger& ledger = ledger_[row];
    if (ledger.standing != Standing::kShown) continue;
    const std::size_t place = PlaceOf(ledger);
    if (place > last || (place == last && of_last == 0)) continue;
    if (place == last) --of_last;
    sources_.Displace(row);
    ledger.standing = Standing::kLeaving;
    totals_.unattributed_connections += ledger.connections;
  }
}

void Tally::AdvanceProof(Ledger& ledger, unsigned minutes_passed) const {
  Proof shown = ledger.shown;
  ledger.shown = Proof::kUnanswered;
  const bool holds_replied = ledger.connections > ledger.unreplied;
  if (holds_replied) shown = std::max<Proof>(shown, ledger.proof);
  const auto now = static_cast<std::uint32_t>(uptime_.count());
  if (shown == Proof::kProven) ledger.proven_at = now;
  if (shown >= Proof::kAnswered) ledger.answered_at = now;
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

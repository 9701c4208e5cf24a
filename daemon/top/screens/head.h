// The upper part of every screen of top: the table, rates, losses, states, alerts, and whether the figures can be
// trusted. Pure; any thread.
#pragma once

#include <string>

#include "daemon/top/screens/render.h"

namespace conntally::top {

inline constexpr std::size_t kHeadRows = 9;

// kHeadRows rows.
Frame Head(const Model& model, const View& view, Size size, const Moment& moment);

// Values as a line of small bars, the newest at the right, `columns` wide; NaN leaves a gap.
std::string Sparkline(const Series& series, std::size_t columns, bool unicode);
// "12 .. 340": the least and the greatest value of a series.
std::string RangeOf(const Series& series);

}  // namespace conntally::top

// frame = f(model, view, size, now): everything that top shows. Pure; any thread.
#pragma once

#include <chrono>

#include "daemon/top/model/model.h"
#include "daemon/top/model/view.h"
#include "daemon/top/text/frame.h"

namespace conntally::top {

// On a smaller terminal, one line says so instead.
inline constexpr Size kLeastSize{40, 10};

struct Moment {
  std::chrono::steady_clock::time_point now{};
  std::chrono::milliseconds interval{2000};  // between two rounds
  std::string address;                       // of the daemon
};

// At most size.rows rows.
Frame Render(const Model& model, const View& view, Size size, const Moment& moment);

// How many rows of a list the screen has room for.
std::size_t ListRows(Size size);

}  // namespace conntally::top

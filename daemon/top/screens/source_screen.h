// One source: its limits, its dropped packets by rule, its last hour, its connections by port and state. Pure; any
// thread.
#pragma once

#include "daemon/top/screens/render.h"

namespace conntally::top {

// As many rows as needed.
Frame SourceScreen(const Model& model, const View& view, Size size);

}  // namespace conntally::top

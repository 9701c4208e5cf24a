// One source: its limits, what is dropped of it and by which rules, its last hour, its connections by port and state.
// Pure; any thread.
#pragma once

#include "daemon/top/screens/render.h"

namespace conntally::top {

// As many rows as there is to tell.
Frame SourceScreen(const Model& model, const View& view, Size size);

}  // namespace conntally::top

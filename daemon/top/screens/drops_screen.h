// The recent drops, newest first: source, destination, rule. Pure; any thread.
#pragma once

#include "daemon/top/screens/render.h"

namespace conntally::top {

// As many rows as needed.
Frame DropsScreen(const Model& model, const View& view);

}  // namespace conntally::top

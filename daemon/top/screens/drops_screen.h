// What was dropped of late, newest first: whose, for whom, and by which rule. Pure; any thread.
#pragma once

#include "daemon/top/screens/render.h"

namespace conntally::top {

// As many rows as there is to tell.
Frame DropsScreen(const Model& model, const View& view);

}  // namespace conntally::top

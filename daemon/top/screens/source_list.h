// The list of sources, in as many columns as fit. Pure; any thread.
#pragma once

#include "daemon/top/screens/render.h"

namespace conntally::top {

// At most `rows` rows with the heading; the selected source is among them.
Frame SourceList(const Model& model, const View& view, Size size, std::size_t rows);

}  // namespace conntally::top

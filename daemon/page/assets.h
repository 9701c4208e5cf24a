// The page's files, embedded in the binary. Any thread.
#pragma once

#include <string_view>

namespace conntally {

std::string_view PageHtml();
std::string_view PageStyle();
std::string_view PageScript();

}  // namespace conntally

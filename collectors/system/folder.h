// Lists a folder. std::filesystem::directory_iterator serves where a failure may end the process: its ++ does, if
// memory is refused (libstdc++ 12). Any thread.
#pragma once

#include <string>
#include <vector>

#include "collectors/system/result.h"

namespace conntally {

// The names in `folder`, in no order, without "." and "..".
Result<std::vector<std::string>> NamesIn(const std::string& folder);

}  // namespace conntally

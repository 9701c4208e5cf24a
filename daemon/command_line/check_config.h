// `conntally check-config`. Reads one file and writes to the streams it is given; any thread.
#pragma once

#include <iosfwd>
#include <string>

namespace conntally {

// 0 and `OK` on `output`, or 1 and "FILE:LINE:COLUMN: what is wrong, what is allowed" on `errors`, a line for
// every fault. A file that cannot be read is such a fault.
int CheckConfig(const std::string& path, std::ostream& output, std::ostream& errors);

}  // namespace conntally

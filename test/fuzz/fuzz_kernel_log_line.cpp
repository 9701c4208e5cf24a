// Any bytes as a record of /dev/kmsg, and as a line.
//
//   cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_kernel_log_line
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "collectors/drops/logs/kernel_log_line.h"

namespace {

void Check(std::string_view text) {
  (void)conntally::ParseTableFullLine(text);
  const auto packet = conntally::ParseLogLine(text);
  if (!packet) return;
  const bool shown = std::all_of(packet->prefix.begin(), packet->prefix.end(),
                                 [](char letter) { return letter >= ' ' && letter <= '~'; });
  if (!shown || packet->prefix.size() > text.size()) std::abort();  // it becomes a label
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Check(text);
  if (const auto record = conntally::ParseKernelLogRecord(text)) Check(record->text);
  return 0;
}

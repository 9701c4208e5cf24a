#include "collectors/system/folder.h"

#include <dirent.h>

#include <memory>
#include <string_view>

namespace conntally {
namespace {

struct Closer {
  void operator()(DIR* folder) const { closedir(folder); }
};

}  // namespace

Result<std::vector<std::string>> NamesIn(const std::string& folder) {
  const std::unique_ptr<DIR, Closer> opened(opendir(folder.c_str()));
  if (!opened) return Error::FromErrno("cannot read " + folder, errno);
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* const entry = readdir(opened.get());
    if (entry == nullptr && errno != 0) return Error::FromErrno("cannot read " + folder, errno);
    if (entry == nullptr) return names;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
}

}  // namespace conntally

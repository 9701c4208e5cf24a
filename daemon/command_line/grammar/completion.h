// Shell completion, made from the grammar of the command line, so that no flag is written down twice. Any thread.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace conntally {

// A script for bash (bash-completion(7)), and one for zsh (compsys), that complete the commands and flags of `app`;
// flags that take a file, by files.
std::string BashCompletion(const CLI::App& app);
std::string ZshCompletion(const CLI::App& app);

}  // namespace conntally

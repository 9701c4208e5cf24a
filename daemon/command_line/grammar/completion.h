// Shell completion, generated from the command line's grammar, so that each flag is defined once. Any thread.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace conntally {

// Scripts for bash (bash-completion(7)) and zsh (compsys). They complete the commands and flags of `app`, and file
// names after flags that take a file.
std::string BashCompletion(const CLI::App& app);
std::string ZshCompletion(const CLI::App& app);

}  // namespace conntally

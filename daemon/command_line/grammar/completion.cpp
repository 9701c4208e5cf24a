#include "daemon/command_line/grammar/completion.h"

#include <CLI/CLI.hpp>

#include <vector>

namespace conntally {
namespace {

struct Flag {
  std::string name;  // with its dashes
  std::string description;
  std::string value;  // name of its value; empty: it takes none
};

std::vector<Flag> FlagsOf(const CLI::App& app) {
  std::vector<Flag> flags;
  for (const CLI::Option* option : app.get_options()) {
    const bool takes_value = option->get_expected_max() > 0;
    for (const std::string& name : option->get_lnames())
      flags.push_back({"--" + name, option->get_description(), takes_value ? option->get_type_name() : ""});
  }
  return flags;
}

std::vector<const CLI::App*> CommandsOf(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

std::string Names(const std::vector<Flag>& flags) {
  std::string names;
  for (const Flag& flag : flags) names += (names.empty() ? "" : " ") + flag.name;
  return names;
}

// Escapes text for single quotes in _arguments, where a colon or a bracket would end the description.
std::string ZshText(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\'') escaped += "'\\'";
    if (c == ':' || c == '[' || c == ']' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string ZshFlags(const std::vector<Flag>& flags) {
  std::string lines;
  for (const Flag& flag : flags) {
    lines += " \\\n        '" + flag.name + (flag.value.empty() ? "" : "=") + "[" + ZshText(flag.description) + "]";
    if (!flag.value.empty()) lines += ":" + ZshText(flag.value) + ":" + (flag.value == "FILE" ? "_files" : "");
    lines += "'";
  }
  return lines;
}

}  // namespace

std::string BashCompletion(const CLI::App& app) {
  std::string commands, cases;
  for (const CLI::App* command : CommandsOf(app)) {
    commands += (commands.empty() ? "" : " ") + command->get_name();
    cases += "    " + command->get_name() + ") flags=\"" + Names(FlagsOf(*command)) + "\" ;;\n";
  }
  return "# bash completion of conntally, which writes this itself: conntally completion bash\n"
         "_conntally() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} flags='' command='' word\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "    case $word in " +
         [&] {
           std::string any = commands;
           for (std::size_t at = 0; (at = any.find(' ', at)) != any.npos; at += 3) any.replace(at, 1, " | ");
           return any;
         }() +
         ") command=$word ;; esac\n"
         "  done\n"
         "  case $previous in --config) mapfile -t COMPREPLY < <(compgen -f -- \"$current\"); return ;; esac\n"
         "  case $command in\n" +
         cases + "    *) flags='" + commands +
         "' ;;\n"
         "  esac\n"
         "  [ \"$command\" = check-config ] && mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
         "  mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen -W \"$flags " +
         Names(FlagsOf(app)) +
         "\" -- \"$current\")\n"
         "}\n"
         "complete -F _conntally conntally\n";
}

std::string ZshCompletion(const CLI::App& app) {
  std::string commands, cases;
  for (const CLI::App* command : CommandsOf(app)) {
    commands += "    '" + command->get_name() + ":" + ZshText(command->get_description()) + "'\n";
    cases += "    " + command->get_name() + ")\n      _arguments" + ZshFlags(FlagsOf(*command)) +
             (command->get_name() == "check-config" ? " \\\n        ':FILE:_files'" : "") + " ;;\n";
  }
  return "#compdef conntally\n"
         "# zsh completion of conntally, which writes this itself: conntally completion zsh\n"
         "local -a commands\n"
         "local state line\n"
         "commands=(\n" +
         commands +
         ")\n"
         "_arguments -C" +
         ZshFlags(FlagsOf(app)) +
         " \\\n        '1:command:->command' '*::argument:->argument'\n"
         "case $state in\n"
         "  command) _describe command commands ;;\n"
         "  argument)\n"
         "    case $line[1] in\n" +
         cases +
         "    esac ;;\n"
         "esac\n";
}

}  // namespace conntally

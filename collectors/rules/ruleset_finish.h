// What a ruleset's rules mean together, once they are all known: their places, and jumps into chains that only drop.
// Pure.
#pragma once

#include "collectors/rules/ruleset.h"

namespace conntally {

// Fills in positions, the chains' ranges of rules, the tables' counts, and verdicts that follow from the chain jumped
// to. `rules` stand chain by chain.
void FinishRuleset(Ruleset& ruleset);

}  // namespace conntally

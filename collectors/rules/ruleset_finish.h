// Completes a ruleset once all its rules are known: their positions, and jumps into chains that only drop. Pure.
#pragma once

#include "collectors/rules/ruleset.h"

namespace conntally {

// Fills in positions, the chains' ranges of rules, the tables' counts, and verdicts that follow from the target chain.
// `rules` must be ordered by chain.
void FinishRuleset(Ruleset& ruleset);

}  // namespace conntally

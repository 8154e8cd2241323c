/* What this build was made of; the values come from the Makefile. */
#include "lib/build.h"

#ifndef TALLY_REVISION
#define TALLY_REVISION "unknown"
#endif
#ifndef TALLY_TREE
#define TALLY_TREE "unknown"
#endif

const char build_revision[] = TALLY_REVISION;
const char build_tree[] = TALLY_TREE;

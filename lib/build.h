/* What this build was made of; the values come from the Makefile. */
#pragma once

#ifndef TALLY_REVISION
#define TALLY_REVISION "unknown"
#endif
#ifndef TALLY_TREE
#define TALLY_TREE "unknown"
#endif

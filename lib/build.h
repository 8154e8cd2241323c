/* What this build was made of. */
#pragma once

/* Abbreviated git ids, or "unknown"; only build.c is compiled anew when they change. */
extern const char build_revision[]; /* the commit */
extern const char build_tree[];     /* its tree: the same for the same files */

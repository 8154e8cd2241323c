/* The table of the frontend's time series. */
#include "frontend/metrics.h"

const struct metric frontend_metrics[FRONTEND_METRICS] = {
#define METRIC(id, kind, name, labels, help) [id] = {kind, name, labels, help},
#include "frontend/metrics.def"
#undef METRIC
};

/* The table of the backend's time series. */
#include "backend/metrics.h"

const struct metric backend_metrics[BACKEND_METRICS] = {
#define METRIC(id, kind, name, labels, help) [id] = {kind, name, labels, help},
#include "backend/metrics.def"
#undef METRIC
};

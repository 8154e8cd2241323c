/* The backend's time series by name; the rows are in metrics.def. */
#pragma once

#include "lib/metrics.h"

enum backend_metric {
#define METRIC(id, kind, name, labels, help) id,
#include "backend/metrics.def"
#undef METRIC
    BACKEND_METRICS
};

/* For metrics_new, in the order of the enum. */
extern const struct metric backend_metrics[BACKEND_METRICS];

/* The frontend's time series by name; the rows are in metrics.def. */
#pragma once

#include "lib/metrics.h"

enum frontend_metric {
#define METRIC(id, kind, name, labels, help) id,
#include "frontend/metrics.def"
#undef METRIC
    FRONTEND_METRICS
};

/* For metrics_new, in the order of the enum. */
extern const struct metric frontend_metrics[FRONTEND_METRICS];

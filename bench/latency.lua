-- For wrk -s: what it measured as one line of JSON, times in microseconds.
done = function(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"answered":%d,"seconds":%.6f,"bad_status":%d,"broken":%d,"p50":%d,"p99":%d,"p999":%d}\n',
        summary.requests, summary.duration / 1e6, errors.status,
        errors.connect + errors.read + errors.write,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end

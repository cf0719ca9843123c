-- wrk's numbers as one line of JSON, for pull.py.
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        '{"requests":%d,"errors":%d,"seconds":%.6f,"bytes":%d,"p50_us":%d,"p99_us":%d}\n',
        summary.requests, e.connect + e.read + e.write + e.status + e.timeout,
        summary.duration / 1e6, summary.bytes, latency:percentile(50), latency:percentile(99)))
end

-- POST /oauth2/token with the body in PORTOLAN_BODY; wrk's numbers as one line of JSON, for tokens.py.
wrk.method = "POST"
wrk.body = os.getenv("PORTOLAN_BODY")
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"

function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format('{"requests":%d,"errors":%d,"seconds":%.6f,"p50_us":%d,"p99_us":%d}\n',
        summary.requests, e.connect + e.read + e.write + e.status + e.timeout,
        summary.duration / 1e6, latency:percentile(50), latency:percentile(99)))
end

-- PUTs of scope maps below PORTOLAN_PATH, each a change: a name of its own where PORTOLAN_NAMES is 0, else
-- one of that many; wrk's numbers as one line of JSON, for manage.py.
local path = os.getenv("PORTOLAN_PATH")
local query = os.getenv("PORTOLAN_QUERY")
local names = tonumber(os.getenv("PORTOLAN_NAMES"))
local count, wrong = 0, 0

function request()
    count = count + 1
    local name = names > 0 and count % names or count
    return wrk.format("PUT", path .. name .. query, nil, string.format(
        '{"properties":{"description":"%d","actions":["repositories/team/app%d/content/read"]}}',
        count, count))
end

function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        '{"requests":%d,"errors":%d,"seconds":%.6f,"bytes":%d,"p50_us":%d,"p99_us":%d}\n',
        summary.requests, e.connect + e.read + e.write + e.status + e.timeout,
        summary.duration / 1e6, summary.bytes, latency:percentile(50), latency:percentile(99)))
end

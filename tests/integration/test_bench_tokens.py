"""./dev bench tokens runs and says what it measured; how fast this machine is, is not judged here."""

import json
import os
import subprocess

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")


def test_quick():
    done = subprocess.run(["/usr/bin/python3", os.path.join(ROOT, "tests", "bench", "tokens.py"), "--quick"],
                          text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    *table, last = done.stdout.strip().splitlines()
    result = json.loads(last)
    assert len(table) == 8 and result["installation"]["installation"] == 6000
    for part, names in (("bearer", ("new_us", "seen_us")), ("data_plane", ("rss_mib",)),
                        ("installation", ("create_per_s", "publish_s", "held_s"))):
        assert all(result[part][name] > 0 for name in names), result
    assert result["data_plane"]["password"]["p99_ms"] > 0
    assert result["data_plane"]["refresh"]["per_s"] > 0

"""How many requests one identity may make: what is left is told with every answer, and who has used it
up is told when to come back, while others go on."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.directory import Directory, assign
from support.instance import GROUPS_API, Instance, eventually

LIMITS = {"reads-per-minute": 40, "writes-per-minute": 3, "deletes-per-minute": 2}
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
NO_REFERRERS = f"referrers/sha256:{'0' * 64}"
LEFT = "x-ms-ratelimit-remaining-subscription-"


def limited(it):
    it.stop("controlplane")
    with open(f"{it.state}/config", "a") as f:
        f.writelines(f"{name} = {value}\n" for name, value in LIMITS.items())
    it.start("controlplane")


def test_each_kind_has_its_limit(own_instance):
    it = own_instance
    group = it.make_group()
    limited(it)
    path = it.group_id(group)
    left = [int(it.arm("GET", path, api=GROUPS_API).headers[LEFT + "reads"]) for _ in range(3)]
    assert left[0] == LIMITS["reads-per-minute"] - 1
    assert left[2] < left[0]
    for _ in range(LIMITS["writes-per-minute"]):
        reply = it.arm("PUT", path, {"location": "eastus"}, api=GROUPS_API)
        assert reply.status_code == 200 and LEFT + "writes" in reply.headers
    reply = it.arm("PUT", path, {"location": "eastus"}, api=GROUPS_API)
    assert reply.status_code == 429
    assert reply.json()["error"]["code"] == "TooManyRequests"
    assert 1 <= int(reply.headers["Retry-After"]) <= 60
    assert reply.headers[LEFT + "writes"] == "0"
    text = reply.json()["error"]["message"]
    assert re.fullmatch(r"The client '[0-9a-f-]{36}' has made as many writes in the subscription '[0-9a-f-]{36}' "
                        r"as it may in a minute\. Try again after \d+ seconds\.", text), text
    # Reading goes on, and so does another subject of the limit: nothing counts without a subscription.
    assert it.arm("GET", path, api=GROUPS_API).status_code == 200
    assert it.arm("GET", "/subscriptions", api=GROUPS_API).status_code == 200


def test_all_together_have_a_limit(own_instance):
    """Fifteen times as much as one may; 30 come at once, each with what is its own."""
    it = own_instance
    group = it.make_group()
    apps = [Directory(it).application() for _ in range(30)]
    for app in apps:
        assert assign(it, app.object_id, CONTRIBUTOR, it.group_id(group)).status_code == 201
    tokens = [app.token() for app in apps]
    limited(it)
    path, each = it.group_id(group), LIMITS["writes-per-minute"]

    def write(token):
        return it.arm("PUT", path, {"location": "eastus"}, api=GROUPS_API, token=token)
    first = write(tokens[0])
    assert int(first.headers[LEFT + "global-writes"]) == 15 * each - 1
    assert int(first.headers[LEFT + "writes"]) == each - 1
    read = it.arm("GET", path, api=GROUPS_API)
    assert int(read.headers[LEFT + "global-reads"]) == 15 * LIMITS["reads-per-minute"] - 1
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(write, [token for token in tokens[1:] for _ in range(each)]))
    refused = [r for r in replies if r.status_code == 429]
    assert refused and len(replies) - len(refused) >= 15 * each - 1
    for reply in refused:
        assert int(reply.headers[LEFT + "writes"]) >= 0 and reply.headers[LEFT + "global-writes"] == "0"
        assert 1 <= int(reply.headers["Retry-After"]) <= 60
        assert re.fullmatch(r"All clients together have made as many writes in the subscription '[0-9a-f-]{36}' "
                            r"as they may in a minute\. Try again after \d+ seconds\.",
                            reply.json()["error"]["message"])


def test_nobody_meets_the_limits_as_they_come(instance, group):
    reply = instance.arm("GET", instance.group_id(group), api=GROUPS_API)
    assert int(reply.headers[LEFT + "reads"]) > 1000000


@pytest.fixture
def rated():
    """An instance as it comes, without a word about rates."""
    it = Instance()
    try:
        yield it.up(has_rates=True)
    finally:
        it.down()


def ask(registry, token, path):
    return registry.instance.session.get(f"{registry.url}/v2/a/b/{path}",
                                         headers={"Authorization": f"Bearer {token}"})


def used_up(registry, token, count=320):
    """The codes of so many listings of referrers by eight clients at once: 250 a minute may one identity
    have of a Basic registry, and a few more come back meanwhile."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda _: ask(registry, token, NO_REFERRERS).status_code, range(count)))


def test_registries_keep_the_rates_of_their_tier(rated):
    it = rated
    registry = it.make_registry(it.make_group(), sku="Basic")
    registry.push_image("a/b", "v1")
    token = registry.access_token("repository:a/b:pull")
    began = time.monotonic()
    codes = used_up(registry, token)
    back = 250 * (time.monotonic() - began) / 60
    assert set(codes) == {200, 429}
    assert 250 <= codes.count(200) <= 250 + back + 1, codes.count(200)
    reply = ask(registry, token, NO_REFERRERS)
    while reply.status_code == 200:
        reply = ask(registry, token, NO_REFERRERS)
    assert reply.status_code == 429 and 1 <= int(reply.headers["Retry-After"]) <= 60
    assert reply.json()["errors"][0]["code"] == "TOOMANYREQUESTS"
    # Other kinds of requests, and other registries, go on.
    assert ask(registry, token, "manifests/v1").status_code == 200
    # A higher tier has more: 1,000 a minute.
    other = it.make_registry(registry.group, sku="Premium")
    other.push_image("a/b", "v1")
    assert set(used_up(other, other.access_token("repository:a/b:pull"), 500)) == {200}
    # Switched off by the installation, nobody meets them.
    it.dev("up", "--set", "tier-rates=false")
    it.finish(it.arm("PATCH", registry.id, {"tags": {"a": "b"}}))
    eventually(lambda: set(used_up(registry, token)) == {200}, timeout=60)

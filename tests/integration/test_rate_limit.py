"""How many requests one identity may make: what is left is told with every answer, and who has used it
up is told when to come back, while others go on."""

from concurrent.futures import ThreadPoolExecutor

from support.instance import GROUPS_API

LIMITS = {"reads-per-minute": 40, "writes-per-minute": 3, "deletes-per-minute": 2}
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
    # Reading goes on, and so does another subject of the limit: nothing counts without a subscription.
    assert it.arm("GET", path, api=GROUPS_API).status_code == 200
    assert it.arm("GET", "/subscriptions", api=GROUPS_API).status_code == 200


def test_nobody_meets_the_limits_as_they_come(instance, group):
    reply = instance.arm("GET", instance.group_id(group), api=GROUPS_API)
    assert int(reply.headers[LEFT + "reads"]) > 1000000


def test_registries_keep_the_rates_of_their_tier(own_instance):
    it = own_instance
    registry = it.make_registry(it.make_group(), sku="Basic")
    image = "a/b"
    registry.push_image(image, "v1")
    it.stop("controlplane")
    with open(f"{it.state}/config", "a") as f:
        f.write("tier-rates = true\n")
    it.start("controlplane")
    it.finish(it.arm("PATCH", registry.id, {"tags": {"a": "b"}}))
    # A start reads what is published; what runs may take half a second to look.
    plane, = it.dataplanes()
    it.stop(plane)
    it.start(plane)
    token = registry.access_token(f"repository:{image}:pull")

    def referrers():
        return it.session.get(f"{registry.url}/v2/{image}/referrers/sha256:{'0' * 64}",
                              headers={"Authorization": f"Bearer {token}"})

    def use_up(_):
        return [referrers().status_code for _ in range(40)]
    # 250 a minute of one identity; a few come back while they are used up.
    with ThreadPoolExecutor(8) as pool:
        codes = sum(pool.map(use_up, range(8)), [])
    assert set(codes) == {200, 429}
    assert 250 <= codes.count(200) <= 310, codes.count(200)
    reply = referrers()
    while reply.status_code == 200:
        reply = referrers()
    assert reply.status_code == 429 and 1 <= int(reply.headers["Retry-After"]) <= 60
    assert reply.json()["errors"][0]["code"] == "TOOMANYREQUESTS"
    # Other kinds of requests, and other registries, go on.
    assert it.session.get(f"{registry.url}/v2/{image}/manifests/v1", headers={
        "Authorization": f"Bearer {token}"}).status_code == 200
    other = it.make_registry(registry.group, sku="Basic")
    assert other.call("GET", "/v2/").status_code == 200

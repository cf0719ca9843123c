"""Listings of many rows: the rows come by SQL, the pages are asked for over HTTP."""

import re
import time

from rig.load import Client, Image, digest_of, quantile

SCOPE = "repository:{}:pull,metadata_read"


def fill(postgres, plane, tags, referrers, repositories):
    """Returns (what, {page: (scope, path)})."""
    image = Image("bench/tags", "first", (512, 1024))
    image.put_into(plane)
    subject = digest_of(image.manifest)
    of = (f"(select r.id from repositories r where r.registry_id = '{plane.registry_id}' "
          "and r.name = 'bench/tags')")
    postgres.sql("bench", f"""
        set session_replication_role = replica;
        with made as (
            insert into repositories (registry_id, name)
            select '{plane.registry_id}', 'many/repository-' || lpad(i::text, 6, '0')
            from generate_series(1, {repositories}) i returning id)
        insert into manifests (repository_id, digest, media_type, payload, image_size, clock,
                               origin)
        select id, '\\x01'::bytea || sha256('one'), 'application/vnd.oci.image.manifest.v1+json',
               'one', 3, 1, 'bench' from made;
        insert into manifests (repository_id, digest, media_type, artifact_type, subject, payload,
                               image_size, clock, origin)
        select {of}, '\\x01'::bytea || sha256(('referrer ' || i)::bytea),
               'application/vnd.oci.image.manifest.v1+json', 'application/vnd.bench',
               '\\x01'::bytea || decode('{subject.removeprefix("sha256:")}', 'hex'),
               convert_to(repeat('x', 400), 'UTF8'), 400, i, 'bench'
        from generate_series(1, {referrers}) i;
        insert into tags (repository_id, name, manifest_id, clock, origin)
        select {of}, 'tag-' || lpad(i::text, 7, '0'), ids[1 + i % array_length(ids, 1)], i, 'bench'
        from (select array_agg(id) as ids from manifests where repository_id = {of}) m,
             generate_series(1, {tags}) i;
        set session_replication_role = default;
        delete from repository_counts;
        insert into repository_counts (repository_id, slot, manifests, tags)
        select repository_id, 0, sum(m), sum(t)
        from (select repository_id, count(*) as m, 0 as t from manifests group by 1
              union all select repository_id, 0, count(*) from tags group by 1) c
        group by repository_id;
        update repositories set has_manifests = true;
        vacuum analyze;""")
    scope = SCOPE.format("bench/tags")
    catalog = "registry:catalog:*"
    names = "many/repository-{:06d}"
    thousandth = min(1000, tags // 100)
    before = (thousandth - 1) * 100
    return [
        (f"tags, 100 of {tags:,}", {
            "page 1": (scope, "/v2/bench/tags/tags/list?n=100"),
            f"page {thousandth:,}": (scope, "/v2/bench/tags/tags/list?n=100"
                                            f"&last=tag-{before:07d}"),
            "last page": (scope, f"/v2/bench/tags/tags/list?n=100&last=tag-{tags - 100:07d}")}),
        (f"referrers of a subject with {referrers:,}", {
            name: (scope, path) for name, path in
            linked(plane, scope, f"/v2/bench/tags/referrers/{subject}").items()}),
        (f"ACR tags, 100 of {tags:,}", {
            "page 1": (scope, "/acr/v1/bench/tags/_tags?n=100"),
            f"page {thousandth:,}": (scope, "/acr/v1/bench/tags/_tags?n=100"
                                            f"&last=tag-{before:07d}"),
            "newest first": (scope, "/acr/v1/bench/tags/_tags?n=100&orderby=timedesc"),
            "single": (scope, f"/acr/v1/bench/tags/_tags/tag-{tags // 2:07d}")}),
        (f"ACR manifests, 100 of {referrers:,}", {
            "page 1": (scope, "/acr/v1/bench/tags/_manifests?n=100"),
            "last page": (scope, "/acr/v1/bench/tags/_manifests?n=100&last=sha256:f" + 63 * "0"),
            "single": (scope, f"/acr/v1/bench/tags/_manifests/{subject}")}),
        ("ACR repository", {"single": (scope, "/acr/v1/bench/tags")}),
        (f"catalog, 100 of {repositories:,}", {
            "page 1": (catalog, "/v2/_catalog?n=100"),
            "middle page": (catalog, "/v2/_catalog?n=100&last=" +
                            names.format(repositories // 2)),
            "last page": (catalog, "/v2/_catalog?n=100&last=" +
                          names.format(repositories - 100))}),
    ]


def linked(plane, scope, path):
    """First, middle and last page of a list which is followed by its Link headers."""
    client, paths = Client(plane, scope), []
    while path:
        paths.append(path)
        reply, _ = client.call("GET", path)
        link = re.match(r'<([^>]+)>;\s*rel="?next', reply.getheader("Link") or "")
        path = link.group(1) if link else None
    return {"page 1": paths[0], "middle page": paths[len(paths) // 2], "last page": paths[-1]}


def pages(plane, wanted, samples, most_s=20):
    """{page: (p50, p99)} in milliseconds, one request at a time, the pages by turns,
    for no longer than most_s."""
    took = {page: [] for page in wanted}
    clients = {page: Client(plane, scope) for page, (scope, _) in wanted.items()}
    until = time.monotonic() + most_s
    for _ in range(samples):
        if time.monotonic() > until:
            break
        for page, (_, path) in wanted.items():
            begun = time.perf_counter()
            clients[page].call("GET", path)
            took[page].append(1000 * (time.perf_counter() - begun))
    return {page: (round(quantile(v, 0.5), 2), round(quantile(v, 0.99), 2))
            for page, v in took.items()}

"""A control plane of the benchmarks: an instance of its own whose management API also listens directly,
without an edge, and whose database counts statements when asked."""

import json
import threading
import http.client
import time

from rig.load import quantile
from rig.servers import free_port
from support.instance import API, GROUPS_API, Instance


class ControlPlane(Instance):
    def start_all(self):
        self.up()
        self.port_direct = free_port()
        with open(f"{self.state}/config", "a", encoding="utf-8") as f:
            f.write(f"listen = 127.0.0.1:{self.port_direct}\n")
        self.sql("control", "alter system set shared_preload_libraries = 'pg_stat_statements'")
        for name in ("controlplane", "postgres"):
            self.stop(name)
        for name in ("postgres", "controlplane"):
            self.start(name)
        self.sql("control", "create extension pg_stat_statements")
        self.url = f"http://127.0.0.1:{self.port_direct}"
        return self

    @property
    def header(self):
        return f"Authorization: Bearer {self.token()}"

    def client(self):
        return Client(self.port_direct, self.token())

    def service_pid(self):
        return self.pid("controlplane")

    def statements(self, act):
        """What act returns, and the calls by statement text while it ran."""
        self.sql("control", "select pg_stat_statements_reset()")
        got = act()
        rows = self.sql("control", """select calls, left(regexp_replace(query, '\\s+', ' ', 'g'), 100)
            from pg_stat_statements where query !~ 'pg_stat_statements' order by calls desc""")
        return got, {text: int(calls) for calls, text in rows}

    def multiply(self, model, count, prefix, groups=None):
        """`count` rows as the one with this id, by SQL: no request could make so many in time. Those on
        top of a group are spread over `groups`. Settled, and not looked at again during the benchmark."""
        where = f"'{self.group_id('')}' || (%s) || " if groups else ""
        group = f"(array{json.dumps(groups).replace(chr(34), chr(39))})[1 + i % {len(groups)}]" \
            if groups else "r.group_key"
        del where
        self.sql("control", f"""begin; set local session_replication_role = replica;
            with made as (
                select r.*, i, '{prefix}' || lpad(i::text, 6, '0') as new_name, {group} as new_group
                from resources r, generate_series(1, {count}) i where r.key = lower('{model}')),
            named as (
                select *, case when type_key = 'microsoft.resources/resourcegroups'
                          then '{self.group_id("")}' || new_name
                          else regexp_replace(regexp_replace(id, '[^/]+$', new_name),
                                              '/resourceGroups/[^/]+', '/resourceGroups/' || new_group)
                          end as new_id
                from made)
            insert into resources (uid, key, id, type_key, name, subscription_id, group_key, parent_uid,
                location, global_name, tags, body, status, system_data, state, generation,
                observed_generation, not_before, is_system, projected)
            select gen_random_uuid(), lower(new_id), new_id, type_key, new_name, subscription_id,
                case when type_key = 'microsoft.resources/resourcegroups' then lower(new_name)
                     else new_group end, parent_uid, location,
                case when global_name is null then null else lower(new_name) end,
                case when i % 1000 = 0 then '{{"rare": "yes", "common": "yes"}}'::jsonb
                     else '{{"common": "yes"}}'::jsonb end,
                body, status, system_data, 'Succeeded', 1, 1, now() + interval '1 day', false, projected
            from named;
            insert into usage_counters (owner_uid, kind, used)
            select parent_uid, type_key, {count} from resources
            where key = lower('{model}') and parent_uid is not null
            on conflict (owner_uid, kind) do update set used = usage_counters.used + excluded.used;
            commit""")


class Client:
    """One keep-alive connection to the direct listener."""

    def __init__(self, port, token):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.connection.connect()
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(self, method, path, body=None, wanted=(200,)):
        self.connection.request(method, path, None if body is None else json.dumps(body), self.headers)
        reply = self.connection.getresponse()
        text = reply.read()
        assert reply.status in wanted, (method, path, reply.status, text[:500])
        return json.loads(text) if text else None

    def pages(self, path):
        """The paths of the first, a middle and the last page of a list."""
        paths = []
        while path:
            paths.append(path)
            link = self.call("GET", path).get("nextLink")
            path = link and "/" + link.split("/", 3)[3]
        return {"page 1": paths[0], f"page {1 + len(paths) // 2}": paths[len(paths) // 2],
                f"page {len(paths)}": paths[-1]}

    def times(self, wanted, samples, most_s):
        """{page: (p50, p99)} in milliseconds, one request at a time, the pages by turns."""
        took = {page: [] for page in wanted}
        until = time.monotonic() + most_s
        for _ in range(samples):
            if time.monotonic() > until:
                break
            for page, path in wanted.items():
                begun = time.perf_counter()
                self.call("GET", path)
                took[page].append(1000 * (time.perf_counter() - begun))
        return {page: (round(quantile(v, 0.5), 2), round(quantile(v, 0.99), 2))
                for page, v in took.items()}


__all__ = ["API", "GROUPS_API", "Client", "ControlPlane", "threading"]

"""./dev bench manage: the management API, asked directly, without an edge: GET of a resource, a list of
100, PUTs of scope maps by 16 clients, any page of the lists of a subscription with 100,000 resources, and
GETs beside a burst of creates. Client, service and database share the machine's processors. Commits are
durable: settings of the database are those of ./dev up.

The many rows are written by SQL, as copies of what the API made. Prints a table and, on the last line, the
same as JSON. Asserts only that everything worked; --quick is for the test of this program's form."""

import multiprocessing
import sys
import threading
import time

from rig.bench import Bench
from rig.control import ControlPlane
from rig.load import quantile, wrk
from support.instance import API, GROUPS_API

IDENTITY_API = "2023-01-31"
IDENTITIES = "providers/Microsoft.ManagedIdentity/userAssignedIdentities"
CLIENTS = 16


class Manage(Bench):
    SCENES = ("get", "list", "put", "pages", "burst")

    def start_all(self):
        if self.want.quick:
            self.want.resources, self.want.samples, self.want.burst = 3000, 5, 40
        self.plane = ControlPlane().start_all()
        self.group = self.plane.make_group("bench")
        self.registry = self.plane.make_registry(self.group, sku="Premium").id
        self.client = self.plane.client()

    def stop_all(self):
        if hasattr(self, "plane"):
            self.plane.down()
        super().stop_all()

    def put_map(self, name, client=None):
        (client or self.client).call(
            "PUT", f"{self.registry}/scopeMaps/{name}?api-version={API}",
            {"properties": {"actions": ["repositories/team/app/content/read"]}})

    def flood(self, scene, what, path, clients, goal):
        got = [wrk(self.plane.url + path, self.plane.header, clients, self.want.seconds)
               for _ in range(self.want.rounds)]
        rates = sorted(g["requests"] / g["seconds"] for g in got)
        self.rate(scene, what, rates, sorted(g["p99_us"] for g in got), goal)

    def rate(self, scene, what, rates, p99s, goal):
        """The median round."""
        rate, p99 = rates[len(rates) // 2], p99s[len(p99s) // 2] / 1e3
        self.result.setdefault(scene, {})[what] = {"per_s": round(rate), "p99_ms": p99,
                                                   "rounds": [round(r) for r in rates]}
        self.row(f"{what}; p99 {p99:.1f} ms", f"{rate:,.0f}/s", f">= {goal:,}/s", rate >= goal)

    def scene_get(self):
        self.put_map("oneofthem")
        self.flood("get", "GET of a registry", f"{self.registry}?api-version={API}", 2 * CLIENTS, 8000)
        self.flood("get", "GET of a scope map",
                   f"{self.registry}/scopeMaps/oneofthem?api-version={API}", 2 * CLIENTS, 8000)

    def scene_list(self):
        for n in range(100):
            self.put_map(f"listed{n:03d}")
        path = f"{self.registry}/scopeMaps?api-version={API}&$top=100"
        assert len(self.client.call("GET", path)["value"]) == 100
        self.flood("list", "list of 100 scope maps", path, CLIENTS, 2000)

    def scene_put(self):
        for what, names in (("PUT of a new scope map", 0), ("PUT that changes a scope map", 64)):
            got = [self.plane.put_maps(f"{self.registry}/scopeMaps/put{names}-{n}-", names, CLIENTS,
                                       self.want.seconds) for n in range(self.want.rounds)]
            self.rate("put", f"{what}, {CLIENTS} clients",
                      sorted(g["requests"] / g["seconds"] for g in got),
                      sorted(g["p99_us"] for g in got), 1500)

    def fill(self):
        """Groups, identities in them, scope maps and tokens below one registry."""
        plane, count = self.plane, self.want.resources
        self.client.call("PUT", f"{plane.group_id(self.group)}/{IDENTITIES}/model?api-version={IDENTITY_API}",
                         {"location": "eastus"})
        self.put_map("model")
        plane.finish(plane.arm("PUT", f"{self.registry}/tokens/model",
                               {"properties": {"scopeMapId": f"{self.registry}/scopeMaps/model"}}))
        groups = [f"many{n:06d}" for n in range(1, 1 + count // 50)]
        plane.multiply(plane.group_id(self.group), len(groups), "many")
        plane.multiply(f"{plane.group_id(self.group)}/{IDENTITIES}/model", count // 2, "identity",
                       groups[:max(1, len(groups) // 50)])
        plane.multiply(f"{self.registry}/scopeMaps/model", count // 5, "map")
        plane.multiply(f"{self.registry}/tokens/model", 3 * count // 10, "token")
        return groups

    def scene_pages(self):
        groups = self.fill()
        subscription = f"/subscriptions/{self.plane.subscription}"
        lists = {
            "resources of the subscription": f"{subscription}/resources?api-version={GROUPS_API}",
            "  with a common tag": f"{subscription}/resources?api-version={GROUPS_API}"
                                   "&$filter=tagName%20eq%20'common'",
            "  with a rare tag": f"{subscription}/resources?api-version={GROUPS_API}"
                                 "&$filter=tagName%20eq%20'rare'%20and%20tagValue%20eq%20'yes'",
            "  by a part of the name": f"{subscription}/resources?api-version={GROUPS_API}"
                                       "&$filter=substringof('nosuch',name)",
            "  by name": f"{subscription}/resources?api-version={GROUPS_API}"
                         "&$filter=name%20eq%20'identity000017'",
            "resources of a group": f"{subscription}/resourceGroups/{groups[0]}/resources"
                                    f"?api-version={GROUPS_API}",
            "resource groups": f"{subscription}/resourceGroups?api-version={GROUPS_API}",
            "groups with a rare tag": f"{subscription}/resourceGroups?api-version={GROUPS_API}"
                                  "&$filter=tagName%20eq%20'rare'",
            "identities of the subscription": f"{subscription}/{IDENTITIES}?api-version={IDENTITY_API}",
            "identities of a group": f"{subscription}/resourceGroups/{groups[0]}/{IDENTITIES}"
                                     f"?api-version={IDENTITY_API}",
            "scope maps of a registry": f"{self.registry}/scopeMaps?api-version={API}",
            "tokens of a registry": f"{self.registry}/tokens?api-version={API}",
        }
        total, = self.plane.sql("control", "select count(*) from resources")
        self.row("resources in the subscription", total[0])
        for what, path in lists.items():
            pages, items = self.client.pages(path)
            got = self.client.times(pages, self.want.samples, 20)
            self.result.setdefault("pages", {})[what.strip()] = {"items": items, **got}
            for page, (p50, p99) in got.items():
                self.row(f"{what}, {page}: p50 / p99", f"{p50:.1f} / {p99:.1f} ms", "p99 <= 20 ms",
                         p99 <= 20)

    def scene_burst(self):
        """GETs at a steady rate beside creates by 16 clients, of four kinds. Who looks is a process of its own,
        as it would wait for the other clients' threads else."""
        self.put_map("besides")
        is_over, told = multiprocessing.Event(), multiprocessing.Queue()

        def create(number):
            client = self.plane.client()
            for n in range(number, self.want.burst, CLIENTS):
                kind = n % 4
                if kind == 0:
                    self.put_map(f"burst{n}", client)
                elif kind == 1:
                    client.call("PUT", f"{self.registry}/tokens/burst{n}?api-version={API}", {
                        "properties": {"scopeMapId": f"{self.registry}/scopeMaps/besides"}})
                elif kind == 2:
                    client.call("PUT", f"{self.plane.group_id(self.group)}/{IDENTITIES}/burst{n}"
                                       f"?api-version={IDENTITY_API}", {"location": "eastus"})
                else:
                    client.call("PUT", f"{self.plane.group_id(f'burst{n}')}?api-version={GROUPS_API}",
                                {"location": "eastus"})

        def look():
            took, client, due = [], self.plane.client(), time.perf_counter()
            while not is_over.is_set():
                client.call("GET", f"{self.registry}?api-version={API}")
                took.append(1000 * (time.perf_counter() - due))
                due = max(due + 0.01, time.perf_counter() - 0.05)
                time.sleep(max(0, due - time.perf_counter()))
            told.put(took)
        threads = [threading.Thread(target=create, args=(n,)) for n in range(CLIENTS)]
        looker = multiprocessing.Process(target=look)
        looker.start()
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - begun
        is_over.set()
        took = told.get(timeout=60)
        looker.join()
        p99 = quantile(took, 0.99)
        self.result["burst"] = {"creates": self.want.burst, "seconds": round(seconds, 2),
                                "gets": len(took), "get_p99_ms": round(p99, 2)}
        self.row(f"GET beside {self.want.burst:,} creates in {seconds:.1f} s: p99", f"{p99:.1f} ms",
                 "<= 50 ms", p99 <= 50)


def more(options):
    options.add_argument("--resources", type=int, default=100_000, help="of the subscription")
    options.add_argument("--samples", type=int, default=200, help="requests of each page")
    options.add_argument("--burst", type=int, default=1000, help="creates at once")


if __name__ == "__main__":
    sys.exit(Manage.main(__doc__, more))

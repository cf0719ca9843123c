"""./dev bench scale: any page of very long lists, asked of one data plane: tags of a repository with
1,000,000, referrers of a manifest with 10,000, a catalog of 100,000 repositories, and their forms
under /acr/v1. The rows are written by SQL, as pushes would leave them; the pages come over HTTP.

Prints p50 and p99 of every page and, on the last line, the same as JSON. Asserts only that
everything worked, never on time."""

import sys

from rig import listings
from rig.bench import Bench


class Scale(Bench):
    SCENES = ("pages",)

    def start_all(self):
        if self.want.quick:
            self.want.tags, self.want.referrers, self.want.repositories = 2000, 300, 2000
            self.want.samples = 10
        self.start_data_planes()

    def scene_pages(self):
        want = self.want
        rows = listings.fill(self.postgres, self.sealed, want.tags, want.referrers,
                             want.repositories)
        for what, pages in rows:
            got = listings.pages(self.sealed, pages, want.samples)
            self.result[f"pages {what}"] = got
            # A page under /acr/v1 tells far more of each entry: every tag of a manifest, say.
            is_goal = not what.startswith("ACR")
            for page, (p50, p99) in got.items():
                self.row(f"{what}, {page}: p50 / p99", f"{p50:.1f} / {p99:.1f} ms",
                         "p99 <= 10 ms" if is_goal else "", p99 <= 10 if is_goal else None)


def more(options):
    options.add_argument("--tags", type=int, default=1_000_000)
    options.add_argument("--referrers", type=int, default=10_000)
    options.add_argument("--repositories", type=int, default=100_000)
    options.add_argument("--samples", type=int, default=300, help="requests of each page")


if __name__ == "__main__":
    sys.exit(Scale.main(__doc__, more))

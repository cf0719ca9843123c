"""A power cut: what a killed process had not made durable below a folder is undone. Written down by
faults/powercut.c, which is preloaded into the process."""

import os
import shutil
import subprocess

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "faults", "powercut.c")


class PowerCut:
    def __init__(self, root, base):
        self.root, self.journal = root, os.path.join(base, "journal")
        self.library = os.path.join(base, "powercut.so")
        subprocess.run(["cc", "-D_GNU_SOURCE", "-O1", "-shared", "-fPIC", "-Wall", "-Werror", "-o",
                        self.library, SOURCE, "-ldl"], check=True)

    def environment(self, **more):
        return {"LD_PRELOAD": self.library, "POWERCUT_ROOT": self.root,
                "POWERCUT_JOURNAL": self.journal, **more}

    def events(self):
        try:
            with open(self.journal) as lines:
                return [line.split() for line in lines if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def cut(self):
        """Undoes, newest first, what happened to names whose folder was not synced afterwards, then
        cuts files to what was synced of them. Returns how much that was."""
        pending, synced, undone = [], {}, 0
        for event in self.events():
            if event[0] == "D":
                pending = [e for e in pending if os.path.dirname(e[-1] if e[0] == "R" else e[1])
                           != event[1]]
            elif event[0] == "S":
                synced[int(event[1])] = int(event[2])
            else:
                pending.append(event)
        for event in reversed(pending):
            undone += self.undo(event)
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)
                seen = os.stat(path)
                if seen.st_size > synced.get(seen.st_ino, 0):
                    os.truncate(path, synced.get(seen.st_ino, 0))
                    undone += 1
        for name in os.listdir(os.path.dirname(self.journal)):
            if name.startswith("journal."):
                os.unlink(os.path.join(os.path.dirname(self.journal), name))
        # Whatever is there now is on the disk.
        with open(self.journal, "w") as journal:
            for folder, _, names in os.walk(self.root):
                for name in names:
                    seen = os.stat(os.path.join(folder, name))
                    journal.write(f"S {seen.st_ino} {seen.st_size}\n")
        return undone

    @staticmethod
    def undo(event):
        what, path = event[0], event[1]
        if what == "R":
            if not os.path.exists(event[2]):
                return 0
            os.rename(event[2], path)
        elif what == "U":
            if os.path.exists(path):
                return 0
            os.link(event[2], path)
        elif os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.exists(path):
            os.unlink(path)
        else:
            return 0
        return 1

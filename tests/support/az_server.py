"""az as a process that stays: reads commands, a JSON list of arguments a line, and carries each out in a
fork of its own, which runs the program's main module as `az` does. What one of them has imported stays
imported, because that is most of what a command of az costs. Runs in the interpreter that az is
installed for; everything else it needs is in its environment.

Answers a line for each: {"code": exit status, "out": text, "err": text}."""

import importlib
import json
import os
import runpy
import signal
import sys
import tempfile

LIMIT_S = 300


def carry_out(arguments, out, err):
    """In the child. Its exit status is that of az."""
    signal.alarm(LIMIT_S)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    sys.argv = ["az", *arguments]
    try:
        runpy.run_module("azure.cli", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # as the interpreter itself would say it
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def import_too(names):
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:  # then the command that needs it says so
            pass


def run(arguments):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, \
            tempfile.TemporaryFile() as seen:
        before = set(sys.modules)
        child = os.fork()
        if child == 0:
            code = carry_out(arguments, out, err)
            sys.stdout.flush()
            sys.stderr.flush()
            seen.write(json.dumps([n for n in sys.modules if n not in before]).encode())
            seen.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for file in (out, err, seen):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    if texts[2]:
        import_too(json.loads(texts[2]))
    return {"code": code, "out": texts[0], "err": texts[1]}


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    commands = os.fdopen(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for line in commands:
        print(json.dumps(run(json.loads(line))), file=answers, flush=True)


main()

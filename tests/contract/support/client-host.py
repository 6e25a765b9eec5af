"""Runs the official clients, unmodified, as often as asked without loading Python's modules each time.

Reads one request per line of standard input: {"id", "program": "openstack" | "nova" | "cinder" | "sdk", "args": [...], "env": {...}}.
Every run is a process of its own, forked from this one once the libraries are loaded. Answers one line each:
{"id", "code", "stdout", "stderr"}, in the order in which the runs end. "sdk" runs the Python program of args[0].
The only argument of this program is the path of a file to lock.
"""

import fcntl
import json
import logging
import os
import signal
import sys
import tempfile
import traceback

import cinderclient.shell
import novaclient.shell
import openstack
import openstackclient.compute.client  # noqa: F401
import openstackclient.compute.v2.server  # noqa: F401
import openstackclient.network.client  # noqa: F401
import openstackclient.shell
from stevedore import ExtensionManager

ENTRY_POINTS = ("openstack.cli.extension", "openstack.common", "openstack.compute.v2", "openstack.volume.v3", "keystoneauth1.plugin")


def run_program(request):
    args = request["args"]
    if request["program"] == "openstack":
        return openstackclient.shell.main(args)
    if request["program"] == "sdk":
        return exec(compile(args[0], "<sdk>", "exec"), {"openstack": openstack, "json": json})
    if request["program"] == "cinder":
        sys.argv = ["cinder", *args]
        return cinderclient.shell.main()
    return novaclient.shell.main(args)


def run(request, out, err):
    """The client's own process: ends with the code that the client ends with."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    os.environ.clear()
    os.environ.update(request["env"])
    code = 1
    try:
        code = run_program(request) or 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve(request, replies, lock):
    """Waits for one run and answers it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            run(request, out, err)
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    code = os.waitstatus_to_exitcode(status)
    reply = {"id": request["id"], "code": code, "stdout": texts[0], "stderr": texts[1]}
    with open(lock, "w") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
    os._exit(0)


def main():
    # The import of one client must not make the others talkative.
    logging.getLogger().handlers.clear()
    for namespace in ENTRY_POINTS:
        ExtensionManager(namespace, on_load_failure_callback=lambda *_: None)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        if os.fork() == 0:
            serve(request, replies, sys.argv[1])


main()

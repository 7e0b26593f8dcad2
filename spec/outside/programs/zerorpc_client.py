"""A client of Python's zerorpc. Prints a JSON value a line: `zerorpc_client.py tcp://127.0.0.1:PORT`."""
import json
import sys

import gevent
import msgpack
import zerorpc

client = zerorpc.Client()
client.connect(sys.argv[1])


def show(value):
    print(json.dumps(value), flush=True)


def error_of(name, *args):
    try:
        return ["no error", client(name, *args)]
    except zerorpc.RemoteError as error:
        return [error.name, error.msg, error.traceback]


# A call of 12 s needs heartbeats both ways. It runs beside all others.
slow = gevent.spawn(client, "sleep", 12)

show([client.add(1, 2), client.add(1), client("maths.half", 5), client.nothing()])
values = [None, True, -7, 1.5, float("inf"), 2**40, 2**63, -(2**63), "é😀", "x" * 100000, b"", b"\0\xff", [1, [2]], {"a": {"b": 1}}]
show([client.echo(value) == value for value in values])
show(client.echo(msgpack.Timestamp(5, 7000000)) == msgpack.Timestamp(5, 7000000))
show([client.made()[key] for key in ("map", "set", "big", "none")])
show([client.made()["bytes"] == b"\0\xff", client.made()["date"].to_unix_nano()])

show(error_of("missing"))
show(error_of("fail"))
show(error_of("_zerorpc_help", 1)[0])
show(error_of("reference"))
show(error_of("echo", {b"bytes": 1})[0])

show([list(client.rows(5)), list(client.rows(0)), sum(client.rows(20000))])
show(sum(client("rows", 5000, slots=7)))
try:
    for item in client.failing():
        show(item)
except zerorpc.RemoteError as error:
    show([error.name, error.msg])

pending = [client("add", i, 1, **{"async": True}) for i in range(500)]
show(sum(result.get() for result in pending))

show(client._zerorpc_ping())
show(client._zerorpc_help("add"))
methods = client._zerorpc_inspect()["methods"]
show([methods["add"], sorted(methods)[:3]])

show(slow.get())

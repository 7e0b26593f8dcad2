"""Calls a server by jsonrpclib-pelix, and prints a line of JSON for each result. usage: jsonrpc_pelix_client.py URL"""
import json
import sys
from jsonrpclib import MultiCall, ProtocolError, Server
from jsonrpclib.config import Config
from jsonrpclib.jsonrpc import AppError


def show(value):
    print(json.dumps(value, sort_keys=True), flush=True)


def fault(call):
    try:
        show(call())
    except AppError as error:
        show(["app", list(error.args[0])[0], list(error.args[0])[2]])
    except ProtocolError as error:
        show(["protocol", error.args[0][0] if isinstance(error.args[0], tuple) else error.args[0]])


server = Server(sys.argv[1])
show(server.add(1, 2))
show(server.add(b=5, a=1))
show(server.math.double(2.5))
show(server.echo({"list": [1, None, True, "é"], "nested": {"a": -1.5}}))
show(server.echo(2**40))
show(server.bytes())
show(server.nothing())
show(server._notify.add(1, 2))
show("add" in server.system.listMethods())
show(server.system.methodHelp("add"))
batch = MultiCall(server)
batch.add(3, 50)
batch._notify.add(3, 5)
batch.math.double(4)
show([answer for answer in batch()])
fault(lambda: server.missing(1))
fault(lambda: server.add(c=1))
fault(lambda: server.fail())
fault(lambda: server.numbered())
fault(lambda: server.reference())
old = Server(sys.argv[1], config=Config(version=1.0))
show(old.add(4, 5))
show(old.nothing())
fault(lambda: old.fail())
# One connection, many calls.
show(sum(server.add(i, i) for i in range(200)))

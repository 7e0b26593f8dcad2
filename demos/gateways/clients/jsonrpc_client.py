"""Calls the server by jsonrpclib (Debian: python3-jsonrpclib-pelix). usage: jsonrpc_client.py URL"""
import sys
from jsonrpclib import MultiCall, ProtocolError, Server

server = Server(sys.argv[1])
described = getattr(server, "rpc.discover")()["methods"]
print("The server has", ", ".join(method["name"] for method in described))
(described_sum,) = [method for method in described if method["name"] == "sum"]
names = ", ".join(parameter["name"] for parameter in described_sum["params"])
print(f"sum({names}): {described_sum['description']}")
print("1 + 2 =", server.sum(x=1, y=2))
batch = MultiCall(server)
batch.sum(3, 4)
batch.greet({"name": "Ada"})
total, greeting = batch()
print("3 + 4 =", total)
print(greeting["text"])
try:
    server.divide({"dividend": 1, "divisor": 0})
except ProtocolError as error:
    code, message = error.args[0]
    print("1 / 0:", message)

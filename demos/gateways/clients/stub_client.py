"""Calls the stub gateway: a text per call. usage: stub_client.py HOST PORT"""
import socket
import sys

KINDS = {int: 1, float: 2, str: 3}


class Stub:
    def __init__(self, address):
        self.socket = socket.create_connection(address)

    def call(self, name, *args):
        params = ",".join(f"{KINDS[type(arg)]}-{arg}" for arg in args)
        self.socket.sendall(f"func:{name}@params:{params}".encode() if args else f"func:{name}".encode())
        kind, _, text = self.socket.recv(65536).decode().partition(":")
        if kind == "error":
            raise RuntimeError(text)
        return text


stub = Stub((sys.argv[1], int(sys.argv[2])))
print("1 + 2 =", stub.call("sum", 1, 2))
print("1.5 + 2 =", stub.call("sum", 1.5, 2))
print("The server's time is", stub.call("get_time"))
for name, args in [("sum", ["net", "ref"]), ("missing", [])]:
    try:
        stub.call(name, *args)
    except RuntimeError as error:
        print(f"{name}:", error)

"""Calls the service by ZeroRPC (pip install zerorpc).
usage: zerorpc_client.py tcp://HOST:PORT"""
import sys

import zerorpc

tutorial = zerorpc.Client()
tutorial.connect(sys.argv[1])
print("The server has", ", ".join(tutorial._zerorpc_list()))
print("sum:", tutorial._zerorpc_help("sum"))
print("1 + 2 =", tutorial.sum(1, 2))
print(tutorial.greet({"name": "Ada"})["text"])
print("It counts itself, too:", list(tutorial.count(3)))
try:
    tutorial.divide({"dividend": 1, "divisor": 0})
except zerorpc.RemoteError as error:
    print(f"1 / 0: {error.name}: {error.msg}")

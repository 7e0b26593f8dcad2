"""Calls the server by Python's own module for XML-RPC. usage: xmlrpc_client.py URL"""
import sys
import xmlrpc.client

with xmlrpc.client.ServerProxy(sys.argv[1]) as server:
    methods = [name for name in server.system.listMethods() if "." not in name]
    print("The server has", ", ".join(methods))
    print("sum:", server.system.methodHelp("sum"))
    print("1 + 2 =", server.sum(1, 2))
    print(server.greet({"name": "Ada"})["text"])
    try:
        server.divide({"dividend": 1, "divisor": 0})
    except xmlrpc.client.Fault as fault:
        print("1 / 0:", fault.faultString)

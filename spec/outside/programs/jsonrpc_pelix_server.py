"""A server of jsonrpclib-pelix. It prints its port."""
from jsonrpclib.SimpleJSONRPCServer import SimpleJSONRPCServer


def add(a, b):
    """Adds two numbers"""
    return a + b


def fail():
    raise ValueError("no such thing")


server = SimpleJSONRPCServer(("127.0.0.1", 0), logRequests=False)
server.register_introspection_functions()
server.register_function(add)
server.register_function(fail)
print(server.server_address[1], flush=True)
server.serve_forever()

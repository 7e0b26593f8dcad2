"""The server of jsonrpclib-pelix of what netref-server.ts serves. usage: json_rpc_server.py; prints its port."""
from jsonrpclib.SimpleJSONRPCServer import SimpleJSONRPCServer


def add(a, b):
    return a + b


server = SimpleJSONRPCServer(('127.0.0.1', 0), logRequests=False)
server.register_function(add)
print(server.server_address[1], flush=True)
server.serve_forever()

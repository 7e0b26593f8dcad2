"""Python's own server of XML-RPC, for the gateways' benchmarks. It prints its port."""
from xmlrpc.server import SimpleXMLRPCServer

server = SimpleXMLRPCServer(('127.0.0.1', 0), allow_none=True, logRequests=False)
server.register_multicall_functions()
server.register_function(lambda x, y: x + y, 'add')
server.register_function(lambda value: value, 'echo')
print(server.server_address[1], flush=True)
server.serve_forever()

"""A server of Python's xmlrpc.server. It prints its port."""
import datetime
from xmlrpc.server import SimpleXMLRPCServer


class Maths:
    def half(self, x):
        """Halves a number."""
        return x / 2


class Service:
    maths = Maths()

    def _listMethods(self):
        return ['maths.half']

    def _methodHelp(self, name):
        return {'maths.half': 'Halves a number.'}.get(name, '')


def add(x, y):
    """Adds two values."""
    return x + y


def echo(value):
    return value


def kind(value):
    return type(value).__name__


def later(date):
    return date + datetime.timedelta(days=1)


def big():
    return {'bytes': b'\x00\xff', 'none': None, 'text': 'é€😀<&>', 'list': [1, 2.5, True, ()]}


server = SimpleXMLRPCServer(('127.0.0.1', 0), allow_none=True, use_builtin_types=True, logRequests=False)
server.register_introspection_functions()
server.register_multicall_functions()
server.register_instance(Service(), allow_dotted_names=True)
for function in (add, echo, kind, later, big):
    server.register_function(function)
print(server.server_address[1], flush=True)
server.serve_forever()

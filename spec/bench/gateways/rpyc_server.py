"""RPyC's own server of what netref_server.ts serves. usage: rpyc_server.py; prints its port."""
import rpyc
from rpyc.utils.server import ThreadedServer


class Bench(rpyc.Service):
    def exposed_noop(self):
        pass

    def exposed_add(self, a, b):
        return a + b

    def exposed_each(self, count, callback):
        for n in range(count):
            callback(n)


server = ThreadedServer(Bench, hostname='127.0.0.1', port=0)
print(server.port, flush=True)
server.start()

"""All of this Python, for the program that started it. It prints its port and the major version of RPyC, and ends
with its standard input.

A server in classic mode runs whatever it is sent. It listens on this machine only, and even there to every user and
program: use it where you trust them all."""
import os
import sys
import threading

import rpyc
from rpyc.core.service import SlaveService
from rpyc.utils.server import ThreadedServer

server = ThreadedServer(SlaveService, hostname="127.0.0.1", port=0)
threading.Thread(target=server.start, daemon=True).start()
while not server.active:
    pass
print(server.port, rpyc.__version__.split(".")[0], flush=True)
try:
    sys.stdin.read()
except KeyboardInterrupt:  # Ctrl-C in the terminal ends all programs of the demo
    pass
os._exit(0)

"""Calls the service by Pyro (Debian: python3-pyro4; or pip install Pyro5). usage: pyro_client.py HOST PORT"""
import sys

try:
    from Pyro5.api import BatchProxy, Proxy
except ImportError:
    from Pyro4 import Proxy, batch as BatchProxy

with Proxy("PYRO:tutorial@%s:%s" % tuple(sys.argv[1:3])) as tutorial:
    tutorial._pyroBind()
    print("The server has", ", ".join(sorted(tutorial._pyroMethods)))
    print("1 + 2 =", tutorial.sum(x=1, y=2))
    print(tutorial.greet({"name": "Ada"})["text"])
    print("It counts itself, too:", list(tutorial.count(3)))
    batch = BatchProxy(tutorial)
    batch.sum(3, 4)
    batch.sum(5, 6)
    print("A batch:", list(batch()))
    try:
        tutorial.divide({"dividend": 1, "divisor": 0})
    except ValueError as error:
        print("1 / 0:", error)

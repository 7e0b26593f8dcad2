"""A server of RPyC, for spec/outside/gateway-rpyc-out.spec.ts. usage: rpyc-server.py service|classic [KEY CERTIFICATE CA]

It prints its port when it listens. With a key it serves TLS, and asks for a certificate of the client."""
import gc
import ssl
import sys
import threading
import time

import rpyc
from rpyc.core.service import SlaveService
from rpyc.utils.authenticators import SSLAuthenticator
from rpyc.utils.server import ThreadedServer


class Account(object):
    """An account of a bank."""

    def __init__(self, owner, balance):
        self.owner = owner
        self.balance = balance

    def deposit(self, amount):
        """Adds to the balance."""
        if amount < 0:
            raise ValueError("no negative amounts", amount)
        self.balance += amount
        return self.balance


class NoMoney(Exception):
    pass


class Bank(rpyc.Service):
    ALIASES = ["BANK"]

    def __init__(self):
        self._things = []
        self._finished = 0

    def on_connect(self, conn):
        self.conn = conn

    def exposed_open(self, owner, balance=0):
        return Account(owner, balance)

    def exposed_owner_of(self, account):
        return account.owner

    def exposed_echo(self, value):
        return value

    def exposed_type_of(self, value):
        return type(value).__name__

    def exposed_keep(self, value):
        self._things.append(value)

    def exposed_kept(self):
        return self._things[-1]

    def exposed_drop(self):
        self._things.clear()

    def exposed_call(self, function, *args):
        return function(*args)

    def exposed_line_counter(self, file, function):
        count = 0
        for count, line in enumerate(file.readlines(), 1):
            function(line)
        return count

    def exposed_lines(self, count):
        try:
            for number in range(count):
                yield "line %d" % (number + 1)
        finally:
            self._finished += 1

    def exposed_get_finished(self):
        return self._finished

    def exposed_fail(self, why):
        raise NoMoney(why)

    def exposed_look_up(self, key):
        return {}[key]

    def exposed_ask_client(self, number):
        return self.conn.root.double(number)

    def exposed_obtain(self, value):
        return repr(rpyc.classic.obtain(value))

    def exposed_slow(self, seconds):
        time.sleep(seconds)

    def exposed_numbers(self):
        return [2**60, -1, 1.5, float("inf"), True, None, b"\x00\xff", (1, (2, "x")), {"a": [1]}, {1: 2}, {3}]

    def exposed_collect(self):
        gc.collect()


def start(kind, *files):
    authenticator = None
    if files:
        key, certificate, ca = files
        authenticator = SSLAuthenticator(key, certificate, ca, cert_reqs=ssl.CERT_REQUIRED)
    config = {"allow_public_attrs": True, "allow_pickle": True, "allow_setattr": True} if kind == "service" else {}
    service = Bank if kind == "service" else SlaveService
    server = ThreadedServer(
        service, hostname="127.0.0.1", port=0, authenticator=authenticator, protocol_config=config
    )
    threading.Thread(target=server.start, daemon=True).start()
    while not server.active:
        time.sleep(0.01)
    print(server.port, flush=True)


start(*sys.argv[1:])
sys.stdin.read()

"""Measures works of an RPyC client. usage: rpyc_client.py PORT; reads lines "SECONDS WORK", prints how often it ran in a second."""
import sys
import time

import rpyc

port = int(sys.argv[1])


def connect():
    return rpyc.connect('127.0.0.1', port, config={'allow_public_attrs': True})


def visit():
    """Connects, calls a method with a callback, and leaves."""
    conn = connect()
    heard = []
    conn.root.each(3, heard.append)
    conn.close()
    assert heard == [0, 1, 2], heard


conn = connect()
root = conn.root
WORKS = {
    'a kept method': root.noop,
    'root.f()': lambda: root.noop(),
    'a method with a callback': lambda: root.each(1, abs),
    'open, method, callback': visit,
}


def measure(run, seconds):
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        run()
        count += 1
    return count / elapsed


for line in sys.stdin:
    seconds, work = line.strip().split(' ', 1)
    print(measure(WORKS[work], float(seconds)), flush=True)
conn.close()

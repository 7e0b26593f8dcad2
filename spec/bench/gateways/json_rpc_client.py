"""Measures works of JSON-RPC clients. usage: json_rpc_client.py PORT; reads lines "SECONDS WORK", prints the median duration in µs."""
import http.client
import json
import statistics
import sys
import time

from jsonrpclib import MultiCall, Server

port = int(sys.argv[1])
server = Server(f'http://127.0.0.1:{port}')
connection = http.client.HTTPConnection('127.0.0.1', port)


def post():
    """A call by Python's own HTTP client, which keeps the connection open if the server does."""
    body = json.dumps({'jsonrpc': '2.0', 'method': 'add', 'params': [1, 2], 'id': 1})
    connection.request('POST', '/', body, {'Content-Type': 'application/json'})
    assert json.loads(connection.getresponse().read())['result'] == 3


def call():
    assert server.add(1, 2) == 3


def batch():
    calls = MultiCall(server)
    for n in range(100):
        calls.add(n, 1)
    assert sum(calls()) == 5050


WORKS = {'jsonrpclib: add(1, 2)': call, 'http.client: add(1, 2)': post, 'jsonrpclib: a batch of 100': batch}


def measure(run, seconds):
    connection.close()  # Servers close connections that are idle.
    durations = []
    start = end = time.perf_counter()
    while end < start + seconds or len(durations) < 5:
        began = time.perf_counter()
        run()
        end = time.perf_counter()
        durations.append(end - began)
    return 1e6 * statistics.median(durations)


for line in sys.stdin:
    seconds, work = line.strip().split(' ', 1)
    print(measure(WORKS[work], float(seconds)), flush=True)

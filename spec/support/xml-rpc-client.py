"""Calls a server of netref by Python's xmlrpc.client, and prints what it gets. Arguments: URL, URL with a name and a password."""
import datetime
import sys
import xmlrpc.client
from xmlrpc.client import Fault, MultiCall, ProtocolError, ServerProxy

url, url_with_password = sys.argv[1:]


def failure_of(function, *arguments):
    try:
        return 'no failure: %r' % (function(*arguments),)
    except Fault as fault:
        return '%s %d %s' % (type(fault).__name__, fault.faultCode, fault.faultString)
    except ProtocolError as error:
        return '%s %d' % (type(error).__name__, error.errcode)
    except Exception as error:
        return type(error).__name__


with ServerProxy(url_with_password) as proxy:
    print('methods:', *proxy.system.listMethods())
    print('help:', proxy.system.methodHelp('sum'), '/', repr(proxy.system.methodHelp('echo')))
    print('signature:', proxy.system.methodSignature('sum'))

    print('calls:', proxy.sum(1, 2), proxy.Maths.Half(5), proxy.Maths.deep.er())
    print('who:', proxy.who())
    print('fault:', failure_of(proxy.divide, 1, 0))
    print('code:', failure_of(proxy.fail, 77))
    print('missing:', failure_of(proxy.missing))
    print('hidden:', failure_of(proxy.secret))
    print('parameters:', failure_of(proxy.Maths.Half, 'text'))
    print('reference:', failure_of(proxy.open))
    print('nothing:', repr(proxy.nothing()))
    print('none:', failure_of(proxy.echo, None))

    multicall = MultiCall(proxy)
    multicall.sum(1, 2)
    multicall.divide(1, 0)
    multicall.Maths.Half(8)
    results = multicall()
    print('multicall:', results[0], failure_of(lambda: results[1]), results[2])

print('stranger:', failure_of(ServerProxy(url).sum, 1, 2))

# Every kind of value, there and back.
rich = ServerProxy(url_with_password, allow_none=True, use_builtin_types=True)
values = [
    True, False, 0, -7, 2**31 - 1, -2**31, 3.25, -1e-7, 1e300, 0.1,
    '', ' a ', '<&>"\'é€😀', 'line\nbreak\t', b'', b'\x00\xff' * 100,
    datetime.datetime(2026, 1, 15, 21, 30, 0), datetime.datetime(1000, 1, 1),
    None, [], {}, [None, [1, [2.5, ['three']]]], {'': 1, 'a b<': {'c': [b'x', {'d': None}]}},
    {'__proto__': {'a': 1}, 'constructor': 2}, list(range(1000)), 'long ' * 50_000,
]
for value in values:
    back = rich.echo(value)
    if back != value or type(back) is not type(value):
        print('differs:', repr(value)[:60], repr(back)[:60])
print('values:', len(values), rich.echo(*values) == values)
print('returns:', rich.big(), repr(rich.whole()), rich.when(), rich.bag())

# Python's own classes for bytes and dates.
plain = ServerProxy(url_with_password)
binary, date = plain.echo(xmlrpc.client.Binary(b'\x01\x02'), xmlrpc.client.DateTime('20260115T21:30:00'))
print('classes:', type(binary).__name__, binary.data, type(date).__name__, date)

# Another encoding, and headers.
latin = ServerProxy(url_with_password, encoding='iso-8859-1')
print('encoding:', latin.echo('é') == 'é')


class CountingTransport(xmlrpc.client.Transport):
    """Counts the connections."""
    connections = 0

    def make_connection(self, host):
        if not (self._connection and host == self._connection[0]):
            self.connections += 1
        return super().make_connection(host)


transport = CountingTransport()
with ServerProxy(url_with_password, transport=transport) as proxy:
    sums = [proxy.sum(n, 1) for n in range(200)]
    failure_of(proxy.divide, 1, 0)
    proxy.sum(1, 2)
    print('keep-alive:', sums == list(range(1, 201)), transport.connections)

"""A client of Python's grpcio. usage: grpc_client.py PORT"""
import sys
import threading
import time

import grpc
import library_pb2 as pb
import library_pb2_grpc as rpc
import shelf_pb2

address = f'127.0.0.1:{sys.argv[1]}'
channel = grpc.insecure_channel(address)
secret = [('authorization', 'Bearer secret'), ('key-bin', b'\x01\x02')]


class Library:
    """The stub, with the metadata of a client that may call."""

    def __init__(self):
        self.stub = rpc.LibraryStub(channel)

    def __getattr__(self, name):
        method = getattr(self.stub, name)
        return lambda request, **options: method(request, metadata=secret, **options)

    def future(self, name, request, **options):
        return getattr(self.stub, name).future(request, metadata=secret, **options)


library = Library()


def failure(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name, error.details()
    raise AssertionError('it did not fail')


# Methods of all four kinds.
assert library.add(pb.Pair(x=1, y=2)).value == 3
assert library.sum(pb.Things(things=[1, 2, 3.5])).value == 6.5
assert library.Greet(pb.Name(first_name='Ada')).text == 'Hello Ada Unknown!'
assert library.Greet(pb.Name(first_name='Ada', last_name='é€😀')).text == 'Hello Ada é€😀!'
assert [item.count for item in library.count(pb.Count(count=1000))] == list(range(1, 1001))
assert library.total(pb.Number(value=n) for n in range(10)).value == 45
assert [line.text for line in library.shout(iter([pb.Text(text='one'), pb.Text(text='two')]))] == ['ONE', 'TWO']

# Values of all types, there and back.
values = shelf_pb2.Values(
    double=0.5, int32=-1, uint32=2**32 - 1, int64=-(2**63), uint64=2**64 - 1, sint64=2**53 + 1, bool=True,
    string='é', bytes=b'\x00\xff', color='BLUE', list=[1, -(2**60)], optional='', text='chosen',
    inner=shelf_pb2.Values(float=1.5), map={'a': shelf_pb2.Values(bool=True)}, by_int64={-(2**40): b'x'},
    by_bool={True: 'yes', False: 'no'}, colors=['RED', 'BLUE'])
assert library.echo(values) == values, library.echo(values)

# Errors.
assert failure(lambda: library.fail(pb.Text(text='it fails'))) == ('UNKNOWN', 'it fails')
assert failure(lambda: library.fail(pb.Text(text='5'))) == ('NOT_FOUND', '5')
assert failure(lambda: library.absent(pb.Nothing()))[0] == 'UNIMPLEMENTED'
assert failure(lambda: channel.unary_unary('/netref.spec.Library/missing')(b''))[0] == 'UNIMPLEMENTED'
assert failure(lambda: channel.unary_unary('/netref.spec.Library/add')(b'\x0f', metadata=secret))[0] == 'INTERNAL'
assert failure(lambda: list(library.iterate(pb.Text(text='broken')))) == ('NOT_FOUND', 'it breaks')
assert failure(lambda: library.answer(pb.Text(text='reference')))[0] == 'INTERNAL'

# Who calls.
assert library.who(pb.Nothing()).text == 'grpc {"bearer":"secret","key":"AQI="}'
assert failure(lambda: library.stub.who(pb.Nothing()))[0] == 'UNAUTHENTICATED'

# Deadlines, cancellation, and streams that are left.
assert failure(lambda: library.wait(pb.Nothing(), timeout=0.3))[0] == 'DEADLINE_EXCEEDED'
print('late', flush=True)
call = library.future('wait', pb.Nothing())
time.sleep(0.2)
call.cancel()
print('cancelled', flush=True)
stream = library.count(pb.Count(count=1000000))
assert next(stream).count == 1
stream.cancel()
stream = library.iterate(pb.Text(text='stuck'))
assert next(stream).text == 'first'
stream.cancel()
print('left', flush=True)

# A method that reads a part of its stream.
assert library.total(pb.Number(value=60) for _ in range(1000)).value == 120

# Messages of both directions, one after the other.
answered = threading.Event()


def lines():
    yield pb.Text(text='a')
    answered.wait(10)
    yield pb.Text(text='b')


shout = library.shout(lines())
assert next(shout).text == 'A'
answered.set()
assert [line.text for line in shout] == ['B']

# A hundred calls in flight.
futures = [library.future('add', pb.Pair(x=n, y=1)) for n in range(100)]
assert [future.result().value for future in futures] == [n + 1 for n in range(100)]

# Large messages and long streams.
assert len(library.echo(shelf_pb2.Values(bytes=bytes(3_000_000))).bytes) == 3_000_000
assert sum(len(chunk.data) for chunk in library.chunks(pb.Count(count=200))) == 200 * 65536
assert library.measure(pb.Chunk(data=bytes(65536)) for _ in range(200)).count == 200 * 65536

channel.close()
print('ok')

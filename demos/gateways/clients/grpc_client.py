"""Calls the gateway of gRPC by the stub that protoc writes (Debian: python3-grpcio, protobuf-compiler-grpc;
or pip install grpcio-tools).
usage: grpc_client.py HOST:PORT"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

import grpc

FOLDER = pathlib.Path(__file__).parent.parent
PLUGIN = shutil.which("grpc_python_plugin")
# grpcio-tools has both: the compiler and its plugin.
COMPILER = ["protoc", f"--plugin=protoc-gen-grpc_python={PLUGIN}"] if PLUGIN else [sys.executable, "-m", "grpc_tools.protoc"]

with tempfile.TemporaryDirectory() as compiled:
    subprocess.run(
        [*COMPILER, f"-I{FOLDER}", f"--python_out={compiled}", f"--grpc_python_out={compiled}", "tutorial.proto"],
        check=True)
    sys.path.insert(0, compiled)
    import tutorial_pb2 as tutorial
    import tutorial_pb2_grpc as services

with grpc.insecure_channel(sys.argv[1]) as channel:
    stub = services.TutorialStub(channel)
    print("1 + 2 =", stub.sum(tutorial.Pair(x=1, y=2)).value)
    print(stub.greet(tutorial.Person(name="Ada")).text)
    print("It counts:", [number.value for number in stub.count(tutorial.Limit(to=3))])
    result = stub.divide(tutorial.Division(dividend=17, divisor=5))
    print("17 / 5 =", result.quotient, "remainder", result.remainder)
    try:
        stub.divide(tutorial.Division(dividend=1, divisor=0))
    except grpc.RpcError as error:
        print("1 / 0:", error.code().name, error.details())

"""Uses the tools of a server by the client of MCP's Python SDK. usage: mcp_client.py URL | mcp_client.py COMMAND ARGS…"""
import asyncio
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client


async def main(target, *args):
    if "://" in target:
        transport = streamable_http_client(target)
    else:
        transport = stdio_client(StdioServerParameters(command=target, args=list(args)))
    async with transport as (read, write, *_), ClientSession(read, write) as session:
        await session.initialize()
        tools = (await session.list_tools()).tools
        print([(tool.name, tool.description, list(tool.input_schema["properties"])) for tool in tools])

        async def call(name, /, **arguments):
            result = await session.call_tool(name, arguments)
            print(name, result.is_error, [part.text for part in result.content], result.structured_content)

        await call("sum", a=1, b=2)
        await call("sum", a=1, b="x")
        await call("greet", name="Ada")
        await call("count", to=3)
        await call("fail")
        calls = [session.call_tool("sum", {"a": i, "b": 0}) for i in range(100)]
        results = await asyncio.gather(*calls)
        print([result.structured_content["result"] for result in results] == list(range(100)))


asyncio.run(main(*sys.argv[1:]))

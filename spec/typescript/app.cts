// A program in CommonJS that uses netref's types.
import netref = require('netref')
import lite = require('netref/lite')

export async function main(): Promise<number> {
  const server = await netref.serve({ add: (a: number, b: number) => a + b }, { port: 0 })
  const conn = lite.connect<{ add(a: number, b: number): number }>(server.url)
  // @ts-expect-error a string is no number
  conn.root.add('1', 2)
  return await conn.root.add(1, 2)
}

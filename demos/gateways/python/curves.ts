// The service for pages: methods with names, which use Python.
//
// A page never gets `py`, a module, or a method that takes code: each of them is a shell on the server. A netref to one module
// is enough, as `numpy.os.system` shows. So the results are numbers, and the arguments are checked before Python sees them.
import { Service } from 'netref'
import type { Classic } from 'netref/rpyc'

export type Point = readonly [x: number, y: number]

const MAX_POINTS = 1000
const MAX_DEGREE = 8

export class Curves extends Service {
  static override readonly help = { fit: 'The coefficients of the polynomial that fits the points best.' }
  readonly #numpy: Classic['builtins']

  constructor(numpy: Classic['builtins']) {
    super()
    this.#numpy = numpy
  }

  exposed_fit(points: readonly Point[], degree: number): Promise<number[]> {
    if (!Array.isArray(points) || points.length > MAX_POINTS || !points.every(isPoint))
      throw new TypeError(`the points are at most ${MAX_POINTS} pairs of numbers`)
    if (!Number.isInteger(degree) || degree < 0 || degree > MAX_DEGREE || degree >= points.length)
      throw new RangeError(`the degree is an integer below the number of points, and at most ${MAX_DEGREE}`)
    const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)]
    return this.#numpy.polyfit(xs, ys, degree).tolist()
  }
}

const isPoint = (point: unknown): point is Point =>
  Array.isArray(point) && point.length === 2 && point.every(Number.isFinite)

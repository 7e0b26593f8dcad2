// A pseudo-random number generator with a seed, so that payloads are the same in every run and every process.

export interface Random {
  /** An integer from `least` up to, but not including, `limit`. */
  integer(least: number, limit: number): number
  /** A number from `least` to `most`, rounded to so many decimals. */
  decimal(least: number, most: number, decimals: number): number
  /** True with this probability. */
  chance(probability: number): boolean
  pick<T>(choices: readonly T[]): T
}

/** Mulberry32. */
export function random(seed: number): Random {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const integer = (least: number, limit: number) => least + Math.floor(next() * (limit - least))
  return {
    integer,
    decimal: (least, most, decimals) => Number((least + next() * (most - least)).toFixed(decimals)),
    chance: probability => next() < probability,
    pick: choices => choices[integer(0, choices.length)]!
  }
}

// Finds known names that are similar to a misspelled one, for error texts.

/** Most names that are suggested at a time. */
const MAX_SUGGESTIONS = 3

/** Names that are shorter begin too many others. */
const MIN_PREFIX_LENGTH = 4

/**
 * Whether two names differ by at most two letters, or by one if the name is short, or the name begins with the known one.
 * Case does not count.
 */
export const isSimilar = (name: string, known: string): boolean =>
  editDistance(name.toLowerCase(), known.toLowerCase()) <= (name.length > 4 ? 2 : 1) ||
  (known.length >= MIN_PREFIX_LENGTH && name.startsWith(known))

/** Up to three known names that are similar to a name, or begin with it; the nearest first. */
export const nearestNames = (name: string, names: readonly string[]): string[] =>
  names
    .filter(known => isSimilar(name, known) || (name.length > 1 && known.startsWith(name)))
    .map(known => ({ known, distance: editDistance(name.toLowerCase(), known.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, MAX_SUGGESTIONS)
    .map(({ known }) => known)

/** The end of an error text about an unknown name: suggests the nearest known one. Empty if none is near. */
export function didYouMean(name: string, names: readonly string[], quoteMark = '`'): string {
  const [nearest] = nearestNames(name, names)
  return nearest === undefined ? '' : `: did you mean ${quoteMark}${nearest}${quoteMark}?`
}

/** The number of letters to insert, delete, replace or swap with the next to make one text of the other. */
function editDistance(a: string, b: string): number {
  let previous: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let k = 1; k <= b.length; k++) {
      const replaced = row[k - 1]! + (a[i - 1] === b[k - 1] ? 0 : 1)
      const swapped =
        i > 1 && k > 1 && a[i - 1] === b[k - 2] && a[i - 2] === b[k - 1] ? previous[k - 2]! + 1 : replaced
      next.push(Math.min(row[k]! + 1, next[k - 1]! + 1, replaced, swapped))
    }
    previous = row
    row = next
  }
  return row[b.length]!
}

// Finds known names that are similar to a misspelled one, for error texts.

/** Most names that are suggested at a time. */
const MAX_SUGGESTIONS = 3

/** Whether two names differ by at most two letters, or by one if the name is short. Case does not count. */
export const isSimilar = (name: string, known: string): boolean =>
  editDistance(name.toLowerCase(), known.toLowerCase()) <= (name.length > 4 ? 2 : 1)

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

/** The number of letters to insert, delete or replace to make one text of the other (Levenshtein distance). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let k = 1; k <= b.length; k++) {
      const replaced = row[k - 1]! + (a[i - 1] === b[k - 1] ? 0 : 1)
      next.push(Math.min(row[k]! + 1, next[k - 1]! + 1, replaced))
    }
    row = next
  }
  return row[b.length]!
}

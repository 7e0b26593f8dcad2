// Resolves imports of tap to the stand-in.
const stand = new URL('./tap.ts', import.meta.url).href

export const resolve = (specifier, context, next) =>
  specifier === 'tap' ? next(stand, context) : next(specifier, context)

// Loads a package that an entry needs and that users install: an optional peer dependency of netref.
import { createRequire } from 'node:module'

/**
 * Loads a CommonJS package. It is loaded at run time, as it may be missing, and synchronously, so that the function that
 * needs it fails, and not the first request.
 *
 * @param call the function that needs the package, for the error text
 * @throws Error that names the package and the command that installs it
 */
export function loadOptionalPackage<Package>(name: string, call: string): Package {
  try {
    return createRequire(import.meta.url)(name)
  } catch (cause) {
    throw new Error(`${call}: the package \`${name}\` is not installed; run \`npm install ${name}\``, {
      cause
    })
  }
}

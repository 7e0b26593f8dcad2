// Loads `sax`, the parser of XML. It is an optional peer dependency.
import type * as SaxModule from 'sax'
import { loadOptionalPackage } from '../../util/optional-package.js'

export type Sax = Pick<typeof SaxModule, 'parser'>

/** @throws Error if it is not installed */
export const loadSax = (call: string): Sax => loadOptionalPackage<Sax>('sax', call)

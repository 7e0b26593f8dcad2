// Makes RegExps and URLs of their texts, by superjson. Pages use `text-leaves.browser.ts` instead, which reads the same texts.
import { SuperJSON } from 'superjson'

const superjson = new SuperJSON()
const bySuperjson = (tag: 'regexp' | 'URL', json: string): unknown =>
  superjson.deserialize({ json, meta: { values: [tag], v: 1 } }, { inPlace: true })

/** @throws SyntaxError if the text is no RegExp */
export const readRegExp = (text: string): unknown => bySuperjson('regexp', text)

/** @throws TypeError if the text is no URL */
export const readUrl = (text: string): unknown => bySuperjson('URL', text)

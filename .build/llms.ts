// `npm run build:llms`: writes dist/llms.txt, which is README and the guide as one text for language models, in the form of
// https://llmstxt.org.
import { readFileSync, writeFileSync } from 'node:fs'

const read = (file: string) => readFileSync(file, 'utf8')
const readme = read('README.md')

/** The files of the guide, in the order of README's table of contents. */
const contentsTable = readme.slice(readme.indexOf('\n## Guide\n'))
const guide = new Set([...contentsTable.matchAll(/\((demos\/guide\/[\w-]+\.md)\)/g)].map(([, file]) => file!))

const titleOf = (page: string) => /^# (.*)$/m.exec(page)![1]!
const anchorOf = (title: string) =>
  title
    .toLowerCase()
    .replace(/[^\p{L}\p{N} -]/gu, '')
    .replaceAll(' ', '-')

/** A page one level of headings deeper, as a section. Links to other pages lead to their sections. */
const sectionOf = (page: string) =>
  page
    .replace(/^!\[.*\]\(.*\)\n\n/gm, '')
    .split(/^(```.*?^```$)/ms)
    .map(part => (part.startsWith('```') ? part : part.replace(/^#/gm, '##')))
    .join('')
    .replace(/\]\((?:demos\/guide\/)?([\w-]+\.md)(#[\w-]+)?\)/g, (link, file: string, heading?: string) => {
      const path = `demos/guide/${file}`
      return guide.has(path) ? `](${heading ?? `#${anchorOf(titleOf(read(path)))}`})` : link
    })

const pages = [...guide].map(read)
const contents = pages.map(page => `- [${titleOf(page)}](#${anchorOf(titleOf(page))})`).join('\n')
const { description, version } = JSON.parse(read('package.json'))
const [summary = '', ...introduction] = readme.replace(/^# netref\n+/, '').split('\n\n')

const parts = [
  '# netref',
  `> ${description}. Version ${version}.`,
  summary,
  'This file has the README and the whole guide. Each TypeScript example in it is run by a test.',
  `## Guide\n\n${contents}`,
  sectionOf(`# README\n\n${introduction.join('\n\n')}`),
  ...pages.map(sectionOf)
]
writeFileSync('dist/llms.txt', parts.map(part => `${part.trimEnd()}\n`).join('\n'))

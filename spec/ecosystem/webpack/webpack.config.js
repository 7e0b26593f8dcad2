const page = {
  name: 'page',
  mode: 'production',
  entry: './page.js',
  output: { filename: 'page.js' }
}

const program = {
  name: 'program',
  mode: 'production',
  target: 'node20',
  entry: './program.js',
  experiments: { outputModule: true },
  output: { filename: 'program.mjs', module: true },
  // `ws` uses these two packages if they are installed.
  ignoreWarnings: [/Can't resolve '(bufferutil|utf-8-validate)'/]
}

export default [page, program]

// Specs of loading packages that users install.
import t from 'tap'
import { loadOptionalPackage } from '../../lib/util/optional-package.js'

t.test('an installed package is loaded', async t => {
  t.type(loadOptionalPackage<{ parser: unknown }>('sax', 'xmlRpc').parser, 'function')
})

t.test('a package that is missing is named, with what installs it', async t => {
  t.throws(() => loadOptionalPackage('no-such-package-here', 'xmlRpc'), {
    message:
      'xmlRpc: the package `no-such-package-here` is not installed; run `npm install no-such-package-here`',
    cause: { code: 'MODULE_NOT_FOUND' }
  })
})

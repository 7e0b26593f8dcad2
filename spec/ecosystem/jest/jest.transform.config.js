// Without `--experimental-vm-modules`: Jest compiles netref to CommonJS.
const project = (displayName, transform, environment) => ({
  displayName,
  transform: { '\\.js$': transform },
  transformIgnorePatterns: ['/node_modules/(?!netref/)'],
  testMatch: ['<rootDir>/netref.test.js'],
  ...environment
})
const swc = '@swc/jest'
const babel = [
  'babel-jest',
  {
    presets: [['@babel/preset-env', { targets: { node: 'current' } }]],
    plugins: ['babel-plugin-transform-import-meta']
  }
]
const page = { testEnvironment: 'jsdom', testMatch: ['<rootDir>/page.test.js'] }

export default {
  globalSetup: '<rootDir>/set-up.js',
  globalTeardown: '<rootDir>/tear-down.js',
  projects: [
    project('swc', swc),
    project('swc, page', swc, page),
    project('babel', babel),
    project('babel, page', babel, page)
  ]
}

const project = (displayName, environment) => ({
  displayName,
  transform: {},
  testMatch: ['<rootDir>/netref.test.js'],
  ...environment
})

export default {
  globalSetup: '<rootDir>/set-up.js',
  globalTeardown: '<rootDir>/tear-down.js',
  projects: [
    project('node', {}),
    // jsdom with the build for Node, which can serve.
    project('jsdom', {
      testEnvironment: 'jsdom',
      testEnvironmentOptions: { customExportConditions: ['node'] }
    }),
    // jsdom with the build for pages, and jsdom's WebSocket.
    project('page', { testEnvironment: 'jsdom', testMatch: ['<rootDir>/page.test.js'] })
  ]
}

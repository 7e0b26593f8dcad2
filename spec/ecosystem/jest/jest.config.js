const project = (displayName, environment) => ({
  displayName,
  transform: {},
  testMatch: ['<rootDir>/*.test.js'],
  ...environment
})

export default {
  projects: [
    project('node', {}),
    project('jsdom', {
      testEnvironment: 'jsdom',
      testEnvironmentOptions: { customExportConditions: ['node'] }
    })
  ]
}

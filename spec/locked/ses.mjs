// Calls SES' lockdown. Stacks, the console and unhandled rejections stay as they are, since specs check them.
import 'ses'

lockdown({
  errorTaming: 'unsafe',
  consoleTaming: 'unsafe',
  errorTrapping: 'none',
  unhandledRejectionTrapping: 'none'
})

// SES' own lockdown. Stacks, the console and unhandled rejections are left as they are: specs look at them.
import 'ses'

lockdown({
  errorTaming: 'unsafe',
  consoleTaming: 'unsafe',
  errorTrapping: 'none',
  unhandledRejectionTrapping: 'none'
})

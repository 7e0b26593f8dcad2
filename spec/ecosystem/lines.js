// A server that the test runners start before their tests, for tests of a page.
import { Service, serve } from 'netref'

class Lines extends Service {
  async exposed_count(lines, noisy) {
    for (const line of lines) await noisy(line)
    return lines.length
  }
  exposed_echo(value) {
    return value
  }
}

/** @param {string} origin of the pages that may connect */
export const serveLines = origin => serve(Lines, { port: 0, allowedOrigins: [origin] })

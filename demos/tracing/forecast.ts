// The service: makes a forecast from measurements that its client takes, call by call.
import { type Netref, Service } from 'netref'
import { inSpan } from './spans.js'

export type Measure = (city: string) => number

export class Forecast extends Service {
  exposed_forecast(cities: string[], measure: Netref<Measure>) {
    return inSpan('server: forecast', async () => {
      const temperatures = await Promise.all(cities.map(city => measure(city)))
      return inSpan('server: average', () => temperatures.reduce((sum, t) => sum + t, 0) / cities.length)
    })
  }
}

// A module that test runners and bundlers with hot reload load repeatedly.
import { registerError, registerType } from 'netref'

export class Money {
  constructor(amount) {
    this.amount = amount
  }
}
registerType(Money, { name: 'Money', encode: ({ amount }) => amount, decode: amount => new Money(amount) })

export class Broke extends Error {}
registerError(Broke, { name: 'Broke' })

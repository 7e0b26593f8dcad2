// A module that a test runner, or a bundler with hot reload, loads again and again.
import { registerError, registerType } from 'netref'

export class Money {
  constructor(amount) {
    this.amount = amount
  }
}
registerType(Money, { name: 'Money', encode: ({ amount }) => amount, decode: amount => new Money(amount) })

export class Broke extends Error {}
registerError(Broke)

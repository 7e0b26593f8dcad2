// Login the capability way: who knows the password is given an object, and that object is all there is to use.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { Service } from 'netref'

const hash = promisify(scrypt) as (password: string, salt: Buffer, length: number) => Promise<Buffer>
const LENGTH = 32

/** What a user has: nobody else is handed it. */
export class Mailbox {
  readonly #letters = ['Tea at four?', 'The engine works.']

  constructor(private readonly owner: string) {}

  exposed_owner(): string {
    return this.owner
  }
  exposed_inbox(): string[] {
    return this.#letters
  }
  exposed_write(letter: string): number {
    return this.#letters.push(letter)
  }
}

/** In one object, as calls are named in logs with the texts they were given, but not with what objects hold. */
export interface Credentials {
  readonly name: string
  readonly password: string
}

interface Account {
  readonly salt: Buffer
  readonly hash: Buffer
  readonly mailbox: Mailbox
}

/** What everybody finds: a door, and no rooms. */
export class Door extends Service {
  /** Shared by all sessions: each has a door of its own, and the house is one. */
  static readonly #accounts = new Map<string, Account>()

  static async register(name: string, password: string): Promise<void> {
    const salt = randomBytes(16)
    const account = { salt, hash: await hash(password, salt, LENGTH), mailbox: new Mailbox(name) }
    Door.#accounts.set(name, account)
  }

  /** @throws Error that does not say which of the two is wrong */
  async exposed_login({ name, password }: Credentials): Promise<Mailbox> {
    const account = Door.#accounts.get(name)
    const given = await hash(password, account?.salt ?? randomBytes(16), LENGTH)
    if (account && timingSafeEqual(given, account.hash)) return account.mailbox
    throw new Error('wrong name or password')
  }
}

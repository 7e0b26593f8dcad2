// Login by capability: a correct password returns an object, and only that object gives access.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { Service } from 'netref'

const hash = promisify(scrypt) as (password: string, salt: Buffer, length: number) => Promise<Buffer>
const LENGTH = 32

/** The account of a user; only its user gets a reference. */
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

/** One object, not two arguments: logs show string arguments, but not the fields of objects. */
export interface Credentials {
  readonly name: string
  readonly password: string
}

interface Account {
  readonly salt: Buffer
  readonly hash: Buffer
  readonly mailbox: Mailbox
}

/** The public root: it offers the login and nothing else. */
export class Door extends Service {
  /** Shared by all sessions; each session has its own root. */
  static readonly #accounts = new Map<string, Account>()

  static async register(name: string, password: string): Promise<void> {
    const salt = randomBytes(16)
    const account = { salt, hash: await hash(password, salt, LENGTH), mailbox: new Mailbox(name) }
    Door.#accounts.set(name, account)
  }

  /** @throws Error that does not say whether the name or the password is wrong */
  async exposed_login({ name, password }: Credentials): Promise<Mailbox> {
    const account = Door.#accounts.get(name)
    const given = await hash(password, account?.salt ?? randomBytes(16), LENGTH)
    if (account && timingSafeEqual(given, account.hash)) return account.mailbox
    throw new Error('wrong name or password')
  }
}

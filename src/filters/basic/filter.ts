import { Fault } from '../../base/fault.ts';
import { ConsumerHeaders } from '../../filter/consumer.ts';
import { AMBIGUOUS, CredentialPlaces } from '../../filter/credential-places.ts';
import type { Env } from '../../filter/env.ts';
import type { Authentication, Exchange, FilterCode } from '../../filter/filter.ts';
import type { Identity } from '../../filter/identity.ts';
import { runWhole } from '../../filter/shared-file.ts';
import { BASIC_FAULTS, type BasicConfig } from './config.ts';
import { credentialsOf, type Credentials } from './credentials.ts';
import { TOKEN_CHARS_MAX } from './digests.ts';
import { type Refused, turnsOf } from './turns.ts';
import { readUsers, USER_FILES, type UserTable } from './users.ts';

const AUTHORIZATION = new CredentialPlaces([{ header: 'authorization', scheme: 'Basic' }]);

/** User names and passwords (RFC 7617). See doc.md, and decision 0047 on how passwords are kept. */
export const code: FilterCode<typeof BasicConfig> = {
  make(config, env) {
    const consumerHeaders = new ConsumerHeaders(config);
    const checker = new Checker(config, env);
    const users = usersOf(config, env);
    return {
      challenge: challengeOf(config),

      authenticate(x) {
        const token = AUTHORIZATION.read(x.request);
        if (token === undefined) return 'absent';
        if (token === AMBIGUOUS) return checker.malformed();
        return checker.check(x, token, users.value);
      },

      // Also when another method said who it is.
      onRequest({ request, identity }) {
        if (config.hideCredentials && !env.isAudited) AUTHORIZATION.hide(request);
        consumerHeaders.write({ request, identity });
        return undefined;
      },

      close: () => users.close(),
    };
  },
};

function challengeOf({ realm }: BasicConfig): string {
  return `Basic realm="${realm}", charset="UTF-8"`;
}

interface Users {
  readonly value: UserTable;
  close(): void;
}

/** @throws {Error} when there are none to read: the plan is refused */
function usersOf({ file, secret }: BasicConfig, env: Env): Users {
  if (file !== undefined) return USER_FILES.open(env, file);
  if (secret === undefined) throw new Error('Cannot know any user: neither a file nor a Secret is named');
  try {
    return { value: runWhole(readUsers(Buffer.from(env.secret(secret)))), close: () => undefined };
  } catch (error) {
    throw new Error(`Cannot use ${secret.secret}: ${(error as Error).message}`, { cause: error });
  }
}

class Checker {
  readonly #config: BasicConfig;
  readonly #env: Env;
  readonly #extras: { readonly headers: readonly (readonly [string, string])[] };
  /** Checks that run, by table and digest: whoever comes with the same meanwhile waits for the same. Bounded by turns. */
  readonly #running = new Map<string, Promise<Identity | 'bad' | Refused>>();

  constructor(config: BasicConfig, env: Env) {
    this.#config = config;
    this.#env = env;
    this.#extras = { headers: [['www-authenticate', challengeOf(config)]] };
  }

  check(x: Exchange, token: string, users: UserTable): Authentication | Promise<Authentication> {
    if (token.length > TOKEN_CHARS_MAX) return this.malformed();
    const digest = users.digest(token);
    const known = users.verdicts.get(digest, this.#env.nowMs() - this.#config.cacheSeconds * 1000);
    if (known !== undefined) return this.#verdict(known);
    const running = this.#running.get(digest);
    if (running !== undefined) return running.then((verdict) => this.#verdict(verdict));
    const credentials = credentialsOf(token);
    if (credentials === undefined) return this.malformed();
    const check = this.#checkSlowly(x.clientIp, credentials, { users, digest });
    this.#running.set(digest, check);
    return check.finally(() => this.#running.delete(digest)).then((verdict) => this.#verdict(verdict));
  }

  async #checkSlowly(
    address: string,
    { name, password }: Credentials,
    { users, digest }: { readonly users: UserTable; readonly digest: string },
  ): Promise<Identity | 'bad' | Refused> {
    const user = users.find(name);
    const hash = user?.password ?? users.decoy(name);
    // No users at all: there is nothing to find out.
    if (hash === undefined) return 'bad';
    const env = this.#env;
    const said = await turnsOf(env).take(env, {
      address,
      atOnceMax: this.#config.checksMax,
      run: () => hash.isFor(password),
    });
    if (typeof said !== 'boolean') return said;
    env.count('checked');
    const identity = said && user !== undefined ? user.identity : 'bad';
    users.verdicts.set(digest, { identity, atMs: env.nowMs() });
    return identity;
  }

  #verdict(verdict: Identity | 'bad' | Refused): Identity | Fault {
    switch (verdict) {
      case 'bad':
        this.#env.count('refused');
        return new Fault(BASIC_FAULTS['basic.invalid'], 'User name or password is not right', this.#extras);
      case 'busy':
        this.#env.count('throttled');
        return new Fault(BASIC_FAULTS['basic.busy'], 'Too many checks wait', LATER);
      case 'throttled':
        this.#env.count('throttled');
        return new Fault(BASIC_FAULTS['basic.throttled'], 'Too many checks of this address wait', LATER);
      default:
        return verdict;
    }
  }

  malformed(): Fault {
    this.#env.count('refused');
    return new Fault(BASIC_FAULTS['basic.malformed'], 'Credentials are not of the form of RFC 7617');
  }
}

const LATER = { headers: [['retry-after', '1']] as const };

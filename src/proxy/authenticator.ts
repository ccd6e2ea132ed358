/**
 * Who is asking: one method, or several of which one is enough. What was found
 * stands on the exchange; where several authenticators act, each must be
 * content, and the first says of each part what it knows (filter/identity.ts).
 */
import { Fault } from '../base/fault.ts';
import { type Authentication, type Exchange, type Filter, NOBODY, type Reply } from '../filter/filter.ts';
import { type Consumer, type Identity, identityOf, mergeIdentities } from '../filter/identity.ts';
import { filterFailed } from './filter-failed.ts';

export interface Method {
  readonly name: string;
  readonly filter: Filter;
}

/** The exchange as this file sees it: the only one that says who is asking. */
interface Asking {
  identity: Identity | undefined;
}

/** What the methods before said. */
interface Before {
  /** Of the first that was not content: more telling than the last. */
  readonly refused: Fault | Reply | undefined;
}

const NOTHING_BEFORE: Before = { refused: undefined };

export class Authenticator implements Filter {
  readonly #methods: readonly Method[];
  readonly #anonymous: Identity | undefined;

  /** @param methods  of which one has to be content; may still grow until the first request */
  constructor(methods: readonly Method[], anonymous: Consumer | undefined) {
    this.#methods = methods;
    this.#anonymous =
      anonymous === undefined
        ? undefined
        : identityOf({ method: 'anonymous', subject: anonymous.name, consumer: anonymous });
  }

  onRequest(x: Exchange): Fault | Reply | undefined | Promise<Fault | Reply | undefined> {
    return this.#ask(x, 0, NOTHING_BEFORE);
  }

  #ask(x: Exchange, from: number, before: Before): Fault | Reply | undefined | Promise<Fault | Reply | undefined> {
    let { refused } = before;
    for (let i = from; i < this.#methods.length; i++) {
      const found = this.#found(this.#methods[i]!, x);
      if (found instanceof Promise) {
        const known = { refused };
        return found.then((late) =>
          isContent(late) ? this.#accept(x, late) : this.#ask(x, i + 1, { refused: known.refused ?? refusalIn(late) }),
        );
      }
      if (isContent(found)) return this.#accept(x, found);
      refused ??= refusalIn(found);
    }
    // Credentials that are not good are refused, also where none would be fine.
    if (refused !== undefined) return refused;
    if (this.#anonymous !== undefined) return this.#accept(x, this.#anonymous);
    return this.#missing();
  }

  /** One that fails refuses; another one may still be content. */
  #found({ name, filter }: Method, x: Exchange): Authentication | Promise<Authentication> {
    try {
      const found = filter.authenticate!(x);
      return found instanceof Promise ? found.catch((error: unknown) => filterFailed(name, error)) : found;
    } catch (error) {
      return filterFailed(name, error);
    }
  }

  #accept(x: Exchange, identity: Identity | typeof NOBODY): undefined {
    if ('kind' in identity) return undefined;
    const asking = x as unknown as Asking;
    asking.identity = asking.identity === undefined ? identity : mergeIdentities(asking.identity, identity);
    return undefined;
  }

  #missing(): Fault {
    const headers = this.#methods.flatMap(({ filter: { challenge } }) =>
      challenge === undefined ? [] : [['www-authenticate', challenge] as const],
    );
    const names = this.#methods.map(({ name }) => name).join(', ');
    return new Fault('authentication.missing', `No credentials for ${names}`, { headers });
  }
}

function isContent(found: Authentication): found is Identity | typeof NOBODY {
  return found === NOBODY || (found !== 'absent' && 'methods' in found);
}

function refusalIn(found: Authentication): Fault | Reply | undefined {
  return found === 'absent' || isContent(found) ? undefined : found;
}

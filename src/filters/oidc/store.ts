/** Sessions of one provider in the cookies of browsers. */
import { createHash } from 'node:crypto';
import { parseDuration } from '../../base/duration.ts';
import type { Env } from '../../filter/env.ts';
import type { OidcConfig, ProviderConfig } from './config.ts';
import {
  clearCookie,
  clearPieces,
  type Cookies,
  type CookieStyle,
  readPieces,
  styleOf,
  writePieces,
} from './cookies.ts';
import { Sealer } from './sealer.ts';
import type { Seen, Session } from './session.ts';

/** Sessions that were opened, by their cookie: opening one costs 10 µs. */
const OPENED_MAX = 1_000;

/** How much of the idle time passes before a use is written down. */
const SEEN_SHARE = 8;

export interface StoreOptions {
  readonly config: OidcConfig;
  readonly provider: ProviderConfig;
  readonly prefix: string;
  readonly secrets: readonly string[];
}

export interface Found {
  readonly session: Session;
  /** When it was used last, as far as it was written down. */
  readonly lastS: number;
}

export class Store {
  readonly #env: Env;
  readonly #sealer: Sealer;
  readonly #style: CookieStyle;
  readonly #name: string;
  readonly #use: string;
  readonly #idleMs: number;
  readonly #maxMs: number;
  readonly #opened = new Map<string, Session>();
  readonly #seen = new Map<string, Seen>();

  /** @throws {Error} when a secret is too short */
  constructor({ config, provider, prefix, secrets }: StoreOptions, env: Env) {
    this.#env = env;
    this.#sealer = new Sealer(secrets, env.owner, (count) => env.randomBytes(count));
    this.#style = styleOf(config.cookie.transport);
    this.#idleMs = parseDuration(config.idle)!;
    this.#maxMs = parseDuration(config.max)!;
    // A session of the same name at another provider, or of another client, is another session.
    this.#use = `session ${JSON.stringify([provider.name, provider.issuer, provider.clientId])}`;
    this.#name = `${prefix}-${createHash('sha256').update(this.#use).digest('hex').slice(0, 6)}`;
  }

  read(cookies: Cookies): Found | undefined {
    if (!cookies.has(this.#name)) return undefined;
    const sealed = readPieces(this.#name, cookies);
    const session = sealed === undefined ? undefined : this.#openedOf(this.#opened, sealed, this.#use);
    if (session === undefined) {
      this.#env.count('cookie_refused');
      return undefined;
    }
    return { session, lastS: Math.max(session.freshS, this.#seenS(session, cookies)) };
  }

  #seenS({ id }: Session, cookies: Cookies): number {
    const sealed = cookies.get(this.#seenName);
    const seen = sealed === undefined ? undefined : this.#openedOf(this.#seen, sealed, `seen ${this.#use}`);
    return seen?.id === id ? seen.atS : 0;
  }

  get #seenName(): string {
    return `${this.#name}.seen`;
  }

  #openedOf<T extends Session | Seen>(opened: Map<string, T>, sealed: string, use: string): T | undefined {
    const known = opened.get(sealed);
    if (known !== undefined) return known;
    const found = this.#sealer.open(sealed, use) as T | undefined;
    if (found === undefined) return undefined;
    if (opened.size >= OPENED_MAX) opened.delete(opened.keys().next().value!);
    opened.set(sealed, found);
    return found;
  }

  /** As a cookie has it. */
  seal(session: Session): string {
    return this.#sealer.seal(session, this.#use);
  }

  open(sealed: string): Session | undefined {
    return this.#openedOf(this.#opened, sealed, this.#use);
  }

  /** Undefined when it is too large for cookies. */
  sessionLines(session: Session, cookies: Cookies): readonly string[] | undefined {
    const ageS = Math.max(1, Math.floor((session.startS * 1000 + this.#maxMs - this.#env.wallMs()) / 1000));
    const pieces = writePieces(this.#name, this.seal(session), ageS, this.#style);
    if (pieces === undefined) return undefined;
    return [...pieces, ...clearPieces(this.#name, cookies, this.#style, pieces.length)];
  }

  /** Nothing while the last use that was written down is recent. */
  seenLines(session: Session, cookies: Cookies): readonly string[] {
    const nowS = Math.floor(this.#env.wallMs() / 1000);
    const lastS = Math.max(session.freshS, this.#seenS(session, cookies));
    if ((nowS - lastS) * 1000 < this.#idleMs / SEEN_SHARE) return [];
    const seen: Seen = { id: session.id, atS: nowS };
    const value = this.#sealer.seal(seen, `seen ${this.#use}`);
    return [`${this.#seenName}=${value}; Max-Age=${Math.ceil(this.#idleMs / 1000)}${this.#style.attributes}`];
  }

  clearLines(cookies: Cookies): readonly string[] {
    const seen = cookies.has(this.#seenName) ? [clearCookie(this.#seenName, this.#style)] : [];
    return [...clearPieces(this.#name, cookies, this.#style), ...seen];
  }
}

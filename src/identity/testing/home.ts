/** An authority on a real database, with a clock that is moved by hand and proxies that keep what they were given. */
import { randomBytes } from 'node:crypto';
import { type Clock, systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { ManualClock } from '../../base/testing/manual-clock.ts';
import type { Database } from '../../store/database.ts';
import { migrate } from '../../store/migrations.ts';
import { openPglite } from '../../store/pglite.ts';
import { openPostgres } from '../../store/postgres.ts';
import { Seal } from '../../store/seal.ts';
import type { AuthorityStore } from '../authority-store.ts';
import { Authority, DEFAULT_LIVES, type Issued } from '../authority.ts';
import type { BroughtIssuer } from '../brought.ts';
import type { TrustBundle } from '../current.ts';
import type { Refusal } from '../refusal.ts';
import { makeRequest } from '../request.ts';
import { SqlAuthorityStore } from '../sql-store.ts';

export const TRUST_DOMAIN = 'cluster.local';
const TABLES = 'mesh_authority, mesh_issuer, mesh_leaf, mesh_join_token, mesh_denied, mesh_federation';

export const DAY_MS = 86_400_000;
export const HOUR_MS = 3_600_000;

export function idOf(account: string, namespace = 'shop'): string {
  return `spiffe://${TRUST_DOMAIN}/ns/${namespace}/sa/${account}`;
}

export class Home implements AsyncDisposable {
  readonly database: Database;
  readonly seal = new Seal(randomBytes(32));
  /** Starts now, so that what is issued is good for a TLS engine too. */
  clock = new ManualClock(systemClock.wallMs());

  private constructor(database: Database) {
    this.database = database;
  }

  /** @param url  of PostgreSQL; the embedded database without one */
  static async open(url?: string): Promise<Home> {
    const database =
      url === undefined ? openPglite({ dir: undefined, clock: systemClock }) : openPostgres(url, () => undefined);
    await migrate(database);
    return new Home(database);
  }

  /** As on the first day. */
  async empty(): Promise<void> {
    this.clock = new ManualClock(systemClock.wallMs());
    await this.database.query(`truncate ${TABLES}`);
  }

  get store(): AuthorityStore {
    return new SqlAuthorityStore(this.database, this.seal);
  }

  /** One control plane. */
  async authority(
    other: { readonly store?: AuthorityStore; readonly clock?: Clock; readonly brought?: BroughtIssuer } = {},
  ): Promise<Authority> {
    const { store = this.store, clock = this.clock, brought } = other;
    const options = { store, clock, log: silentLog, trustDomain: TRUST_DOMAIN, lives: DEFAULT_LIVES, brought };
    const opened = await Authority.open(options);
    if ('flaw' in opened) throw new Error(opened.flaw);
    return opened;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.database.close();
  }
}

/** What a proxy has: its key, its certificate, and what it trusts. */
export class Member {
  readonly proxy: string;
  readonly identity: string;
  privateKeyPem: string;
  issued: Issued;
  bundle: TrustBundle;

  private constructor(proxy: string, privateKeyPem: string, issued: Issued) {
    this.proxy = proxy;
    this.identity = issued.identity;
    this.privateKeyPem = privateKeyPem;
    this.issued = issued;
    this.bundle = issued.bundle;
  }

  /** Joins by a token of its own, and says that it did. */
  static async join(authority: Authority, account: string, proxy = `${account}-1`): Promise<Member> {
    const terms = { namespace: 'shop', account, usesMax: 1, lifeMs: HOUR_MS };
    const token = await authority.createToken(terms);
    if ('flaw' in token) throw new Error(token.flaw);
    const identity = idOf(account);
    const { csr, privateKeyPem } = makeRequest(identity);
    const member = new Member(proxy, privateKeyPem, had(await authority.join({ identity, csr, proxy }, token.text)));
    await member.acknowledge(authority);
    return member;
  }

  async renew(authority: Authority): Promise<void> {
    const { identity, proxy } = this;
    const { csr, privateKeyPem } = makeRequest(identity);
    this.issued = had(await authority.renew({ identity, csr, proxy }));
    this.privateKeyPem = privateKeyPem;
    this.bundle = this.issued.bundle;
    await this.acknowledge(authority);
  }

  /** Takes the bundle of now. */
  async trust(authority: Authority): Promise<void> {
    this.bundle = authority.bundle;
    await this.acknowledge(authority);
  }

  acknowledge(authority: Authority): Promise<void> {
    const { proxy, identity, issued, bundle } = this;
    return authority.acknowledge([{ proxy, identity, serial: issued.serial, bundle: bundle.hash }]);
  }

  /** PEMs for a TLS engine. */
  get trusted(): string[] {
    return trustedBy(this.bundle);
  }
}

export function trustedBy({ roots, federated }: TrustBundle): string[] {
  return [...roots, ...federated.flatMap(({ anchors }) => anchors)];
}

export function had(what: Issued | Refusal): Issued {
  if ('refused' in what) throw new Error(`${what.refused}: ${what.reason}`);
  return what;
}

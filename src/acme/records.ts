/** What the store holds for ACME. Every statement stands here. */
import type { AcmeChallenge } from '../compile/acme.ts';
import { numberOf, type Queries, type Row, textOf } from '../store/database.ts';
import type { Seal } from '../store/seal.ts';
import type { Store } from '../store/store.ts';
import type { Account } from './refusal.ts';

/** A certificate with its key, as it is kept. */
export interface KeptCertificate {
  /** Key of its Secret. */
  readonly name: string;
  /** What it was ordered as: names, authority, type of key. Another text means another order. */
  readonly terms: string;
  readonly chainPem: string;
  readonly privateKeyPem: string;
}

/** How it stands with a certificate. */
export interface KeptProgress {
  readonly name: string;
  /** Failures in a row. */
  readonly failures: number;
  readonly error: string | undefined;
  readonly nextMs: number | undefined;
}

/** Everything, as of one revision. */
export interface Holdings {
  readonly revision: number;
  readonly certificates: readonly KeptCertificate[];
  readonly progress: readonly KeptProgress[];
  readonly challenges: readonly AcmeChallenge[];
}

/** A process that stopped answering for this long has ended. In the time of the database. */
const REPLICA_LIVES_MS = 10_000;

/** Time of the database in milliseconds: clocks of processes differ. */
const NOW_MS = '(extract(epoch from clock_timestamp()) * 1000)::float8';

export class Records {
  readonly #store: Store;
  readonly #seal: Seal;

  constructor(store: Store) {
    this.#store = store;
    this.#seal = store.seal;
  }

  async account(issuer: string): Promise<Account | undefined> {
    const rows = await this.#store.query('select url, key_sealed from acme_account where issuer = $1', [issuer]);
    const row = rows[0];
    const key = row === undefined ? undefined : this.#seal.open(`account ${issuer}`, textOf(row, 'key_sealed'));
    return row === undefined || key === undefined ? undefined : { key, url: textOf(row, 'url') };
  }

  async keepAccount(issuer: string, { key, url }: Account): Promise<void> {
    await this.#store.query(
      `insert into acme_account (issuer, url, key_sealed, changed_ms) values ($1, $2, $3, ${NOW_MS})
       on conflict (issuer) do update set url = excluded.url, key_sealed = excluded.key_sealed, changed_ms = excluded.changed_ms`,
      [issuer, url, this.#seal.close(`account ${issuer}`, key)],
    );
  }

  async forgetAccount(issuer: string): Promise<void> {
    await this.#store.query('delete from acme_account where issuer = $1', [issuer]);
  }

  async revision(): Promise<number> {
    return revisionIn(this.#store);
  }

  async load(): Promise<Holdings> {
    return this.#store.transaction(async (inside) => {
      const revision = await revisionIn(inside);
      const certificates = await inside.query('select name, terms, chain_pem, key_sealed from acme_certificate');
      const progress = await inside.query('select name, progress from acme_progress');
      const challenges = await inside.query('select name, value_sealed from acme_challenge');
      return {
        revision,
        certificates: certificates.flatMap((row) => this.#certificate(row) ?? []),
        progress: progress.map((row) => ({
          ...(JSON.parse(textOf(row, 'progress')) as Omit<KeptProgress, 'name'>),
          name: textOf(row, 'name'),
        })),
        challenges: challenges.flatMap((row) => {
          const text = this.#seal.open(`challenge ${textOf(row, 'name')}`, textOf(row, 'value_sealed'));
          return text === undefined ? [] : [JSON.parse(text) as AcmeChallenge];
        }),
      };
    });
  }

  #certificate(row: Row): KeptCertificate | undefined {
    const name = textOf(row, 'name');
    const privateKeyPem = this.#seal.open(`certificate ${name}`, textOf(row, 'key_sealed'));
    if (privateKeyPem === undefined) return undefined;
    return { name, terms: textOf(row, 'terms'), chainPem: textOf(row, 'chain_pem'), privateKeyPem };
  }

  /** A certificate and how it stands with it; the others hear of it. */
  keepCertificate({ name, terms, chainPem, privateKeyPem }: KeptCertificate, progress: KeptProgress): Promise<number> {
    const sealed = this.#seal.close(`certificate ${name}`, privateKeyPem);
    return this.#change(async (inside) => {
      await inside.query(
        `insert into acme_certificate (name, terms, chain_pem, key_sealed, changed_ms) values ($1, $2, $3, $4, ${NOW_MS})
         on conflict (name) do update set terms = excluded.terms, chain_pem = excluded.chain_pem,
           key_sealed = excluded.key_sealed, changed_ms = excluded.changed_ms`,
        [name, terms, chainPem, sealed],
      );
      await keepProgressIn(inside, progress);
    });
  }

  keepProgress(progress: KeptProgress): Promise<number> {
    return this.#change((inside) => keepProgressIn(inside, progress));
  }

  async forget(names: readonly string[]): Promise<void> {
    await this.#change(async (inside) => {
      for (const name of names) {
        // oxlint-disable-next-line no-await-in-loop -- inside one transaction
        await inside.query('delete from acme_certificate where name = $1', [name]);
        // oxlint-disable-next-line no-await-in-loop -- as above
        await inside.query('delete from acme_progress where name = $1', [name]);
      }
    });
  }

  /** All that answers validations of one Secret. @returns the revision from which on it does */
  present(secret: string, challenges: readonly AcmeChallenge[]): Promise<number> {
    return this.#change(async (inside) => {
      await inside.query("delete from acme_challenge where left(name, length($1::text) + 1) = $1::text || '#'", [
        secret,
      ]);
      for (const [i, challenge] of challenges.entries()) {
        const name = `${secret}#${i}`;
        // oxlint-disable-next-line no-await-in-loop -- inside one transaction
        await inside.query('insert into acme_challenge (name, kind, hostname, value_sealed) values ($1, $2, $3, $4)', [
          name,
          challenge.kind,
          challenge.hostname,
          this.#seal.close(`challenge ${name}`, JSON.stringify(challenge)),
        ]);
      }
    });
  }

  /** Of an order that a process did not live to end. */
  async withdrawAll(): Promise<void> {
    await this.#change((inside) => inside.query('delete from acme_challenge'));
  }

  /** This process lives and serves this revision. */
  async report(id: string, revision: number): Promise<void> {
    await this.#store.query(
      `insert into acme_replica (id, revision, seen_ms) values ($1, $2, ${NOW_MS})
       on conflict (id) do update set revision = excluded.revision, seen_ms = excluded.seen_ms`,
      [id, revision],
    );
  }

  /** Number of living processes that do not serve this revision yet. Those that have ended are forgotten. */
  async behind(revision: number): Promise<number> {
    await this.#store.query(`delete from acme_replica where seen_ms < ${NOW_MS} - $1`, [REPLICA_LIVES_MS * 60]);
    const rows = await this.#store.query(
      `select count(*)::float8 as count from acme_replica where revision < $1 and seen_ms > ${NOW_MS} - $2`,
      [revision, REPLICA_LIVES_MS],
    );
    return numberOf(rows[0]!, 'count');
  }

  async leave(id: string): Promise<void> {
    await this.#store.query('delete from acme_replica where id = $1', [id]);
  }

  async #change(work: (inside: Queries) => Promise<unknown>): Promise<number> {
    return this.#store.transaction(async (inside) => {
      await work(inside);
      const rows = await inside.query('update acme_revision set revision = revision + 1 returning revision');
      return numberOf(rows[0]!, 'revision');
    });
  }
}

async function revisionIn(queries: Queries): Promise<number> {
  const rows = await queries.query('select revision from acme_revision');
  return numberOf(rows[0]!, 'revision');
}

async function keepProgressIn(inside: Queries, { name, ...progress }: KeptProgress): Promise<void> {
  await inside.query(
    'insert into acme_progress (name, progress) values ($1, $2) on conflict (name) do update set progress = excluded.progress',
    [name, JSON.stringify(progress)],
  );
}

/**
 * The authority's state in SQL: one text for PGlite and PostgreSQL. Every statement stands here.
 *
 * One row of `mesh_authority` orders everything. What changes the state updates it first, what issues holds it
 * shared meanwhile: so no certificate of an issuer comes after the moment from which on it issues no more.
 */
import { type Database, numberOf, type Queries, type Row, textOf } from '../store/database.ts';
import {
  type Acknowledgement,
  type AuthorityStore,
  HOLDERS_NAMED_MAX,
  LEAVES_LISTED_MAX,
  type Holders,
  type Issue,
  type Kept,
  type KeptDenial,
  type KeptFederation,
  type KeptLeaf,
  type KeptToken,
  type KeySeal,
  type StateChange,
} from './authority-store.ts';
import type { RotationState } from './rotation.ts';

/** On which control planes that share a store hear that the authority is another one. */
export const TRUST_CHANNEL = 'fourways_trust';

export class SqlAuthorityStore implements AuthorityStore {
  readonly #database: Pick<Database, 'query' | 'transaction'>;
  readonly #seal: KeySeal;

  constructor(database: Pick<Database, 'query' | 'transaction'>, seal: KeySeal) {
    this.#database = database;
    this.#seal = seal;
  }

  async revision(): Promise<number | undefined> {
    const [row] = await this.#database.query('select revision from mesh_authority');
    return row === undefined ? undefined : numberOf(row, 'revision');
  }

  load(): Promise<Kept | undefined> {
    return this.#database.transaction(async (inside) => {
      // Held shared, so that what follows is of the same revision.
      const [row] = await inside.query('select revision, trust_domain, state from mesh_authority for share');
      if (row === undefined) return undefined;
      const authorities = await inside.query('select id, chain_pem, brought from mesh_issuer order by id');
      const denials = await inside.query('select identity, reason, at_ms from mesh_denied order by identity');
      const federations = await inside.query('select trust_domain, anchors from mesh_federation order by trust_domain');
      return {
        revision: numberOf(row, 'revision'),
        trustDomain: textOf(row, 'trust_domain'),
        state: JSON.parse(textOf(row, 'state')) as RotationState,
        authorities: authorities.map((one) => ({
          id: textOf(one, 'id'),
          chainPem: textOf(one, 'chain_pem'),
          isBrought: one['brought'] === true,
        })),
        denials: denials.map((one) => ({
          identity: textOf(one, 'identity'),
          reason: textOf(one, 'reason'),
          atMs: numberOf(one, 'at_ms'),
        })),
        federations: federations.map((one) => ({
          trustDomain: textOf(one, 'trust_domain'),
          anchors: JSON.parse(textOf(one, 'anchors')) as string[],
        })),
      };
    });
  }

  begin(trustDomain: string, change: StateChange): Promise<void> {
    return this.#database.transaction(async (inside) => {
      const rows = await inside.query(
        `insert into mesh_authority (one, revision, trust_domain, issuer, state) values (true, 1, $1, $2, $3)
         on conflict (one) do nothing returning revision`,
        [trustDomain, change.state.active.issuer, JSON.stringify(change.state)],
      );
      if (rows.length > 0) await this.#keepAuthorities(inside, change);
    });
  }

  async change(revision: number, change: StateChange): Promise<boolean> {
    try {
      return await this.#database.transaction((inside) => this.#changeIn(inside, revision, change));
    } catch (error) {
      if (error instanceof NotYet) return false;
      throw error;
    }
  }

  async #changeIn(inside: Queries, revision: number, change: StateChange): Promise<boolean> {
    const rows = await inside.query(
      `update mesh_authority set revision = revision + 1, issuer = $2, state = $3 where revision = $1
       returning revision`,
      [revision, change.state.active.issuer, JSON.stringify(change.state)],
    );
    if (rows.length === 0) return false;
    const { onlyIf } = change;
    if (onlyIf !== undefined) {
      // Counted when nothing can be issued any more: who was on its way is here now.
      const behind = await inside.query(
        'select serial from mesh_leaf where bundle <> $1 and not_after_ms > $2 limit 1',
        [onlyIf.bundle, onlyIf.nowMs],
      );
      if (behind.length > 0) throw new NotYet();
    }
    await this.#keepAuthorities(inside, change);
    await tellOthers(inside);
    return true;
  }

  async #keepAuthorities(inside: Queries, { add = [], forgetKeys = [], forget = [] }: StateChange): Promise<void> {
    /* oxlint-disable no-await-in-loop -- inside one transaction */
    for (const { id, chainPem, privateKeyPem, isBrought } of add) {
      const sealed = privateKeyPem === undefined ? null : this.#seal.close(purposeOf(id), privateKeyPem);
      await inside.query(
        `insert into mesh_issuer (id, chain_pem, brought, key_sealed) values ($1, $2, $3, $4)
         on conflict (id) do update set key_sealed = coalesce(excluded.key_sealed, mesh_issuer.key_sealed)`,
        [id, chainPem, isBrought, sealed],
      );
    }
    for (const id of forgetKeys) await inside.query('update mesh_issuer set key_sealed = null where id = $1', [id]);
    for (const id of forget) await inside.query('delete from mesh_issuer where id = $1', [id]);
    /* oxlint-enable no-await-in-loop */
  }

  async privateKey(id: string): Promise<string | undefined> {
    const [row] = await this.#database.query('select key_sealed from mesh_issuer where id = $1', [id]);
    const sealed = row?.['key_sealed'];
    return typeof sealed === 'string' ? this.#seal.open(purposeOf(id), sealed) : undefined;
  }

  issue(leaf: KeptLeaf, spends?: { readonly token: string; readonly nowMs: number }): Promise<Issue> {
    return this.#database.transaction(async (inside) => {
      const [row] = await inside.query('select issuer from mesh_authority for share');
      if (row?.['issuer'] !== leaf.issuer) return 'moved';
      const denied = await inside.query('select identity from mesh_denied where identity = $1', [leaf.identity]);
      if (denied.length > 0) return 'denied';
      if (spends !== undefined) {
        const spent = await inside.query(
          `update mesh_join_token set used = used + 1
           where id = $1 and used < uses_max and expires_ms > $2 returning used`,
          [spends.token, spends.nowMs],
        );
        if (spent.length === 0) return 'spent';
      }
      await inside.query(
        `insert into mesh_leaf (serial, proxy, identity, issuer, not_after_ms, bundle)
         values ($1, $2, $3, $4, $5, '')`,
        [leaf.serial, leaf.proxy, leaf.identity, leaf.issuer, leaf.notAfterMs],
      );
      return 'kept';
    });
  }

  async acknowledge(said: readonly Acknowledgement[]): Promise<void> {
    if (said.length === 0) return;
    const list = JSON.stringify(said);
    await this.#database.transaction(async (inside) => {
      await inside.query(
        `update mesh_leaf set bundle = said.bundle
         from json_to_recordset($1::json) as said (proxy text, identity text, serial text, bundle text)
         where mesh_leaf.serial = said.serial and mesh_leaf.proxy = said.proxy
           and mesh_leaf.identity = said.identity`,
        [list],
      );
      // What was issued to it before the one that it uses is not used any more.
      await inside.query(
        `delete from mesh_leaf
         using mesh_leaf as used,
           json_to_recordset($1::json) as said (proxy text, identity text, serial text)
         where used.serial = said.serial and used.proxy = said.proxy and used.identity = said.identity
           and mesh_leaf.proxy = used.proxy and mesh_leaf.identity = used.identity and mesh_leaf.n < used.n`,
        [list],
      );
    });
  }

  async release(proxy: string, identity: string): Promise<void> {
    await this.#database.query('delete from mesh_leaf where proxy = $1 and identity = $2', [proxy, identity]);
  }

  async leaves(nowMs: number): Promise<readonly (KeptLeaf & { readonly bundle: string })[]> {
    const rows = await this.#database.query(
      `select distinct on (identity, proxy) serial, proxy, identity, issuer, not_after_ms, bundle
       from mesh_leaf where not_after_ms > $1 order by identity, proxy, n desc limit ${LEAVES_LISTED_MAX}`,
      [nowMs],
    );
    return rows.map((row) => ({
      serial: textOf(row, 'serial'),
      proxy: textOf(row, 'proxy'),
      identity: textOf(row, 'identity'),
      issuer: textOf(row, 'issuer'),
      notAfterMs: numberOf(row, 'not_after_ms'),
      bundle: textOf(row, 'bundle'),
    }));
  }

  async holders({
    bundle,
    issuer,
    nowMs,
  }: {
    readonly bundle: string;
    readonly issuer: string;
    readonly nowMs: number;
  }): Promise<Holders> {
    const [counts] = await this.#database.query(
      `select count(*) filter (where bundle <> $1)::float8 as behind,
         count(*) filter (where issuer <> $2)::float8 as elsewhere
       from mesh_leaf where not_after_ms > $3`,
      [bundle, issuer, nowMs],
    );
    const named = await this.#database.query(
      `select proxy, identity from mesh_leaf where not_after_ms > $3 and (bundle <> $1 or issuer <> $2)
       order by n limit ${HOLDERS_NAMED_MAX}`,
      [bundle, issuer, nowMs],
    );
    return {
      behind: numberOf(counts!, 'behind'),
      elsewhere: numberOf(counts!, 'elsewhere'),
      named: named.map((row) => ({ proxy: textOf(row, 'proxy'), identity: textOf(row, 'identity') })),
    };
  }

  async addToken(token: KeptToken): Promise<void> {
    const { id, hash, root, namespace, account, used, usesMax, createdMs, expiresMs } = token;
    await this.#database.query(
      `insert into mesh_join_token (id, hash, root, namespace, account, used, uses_max, created_ms, expires_ms)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [id, hash, root, namespace, account, used, usesMax, createdMs, expiresMs],
    );
  }

  async token(id: string): Promise<KeptToken | undefined> {
    const [row] = await this.#database.query(`select ${TOKEN_COLUMNS} from mesh_join_token where id = $1`, [id]);
    return row === undefined ? undefined : tokenOf(row);
  }

  async tokens(): Promise<readonly KeptToken[]> {
    const rows = await this.#database.query(`select ${TOKEN_COLUMNS} from mesh_join_token order by created_ms, id`);
    return rows.map((row) => tokenOf(row));
  }

  async forgetToken(id: string): Promise<boolean> {
    return (await this.#database.query('delete from mesh_join_token where id = $1 returning id', [id])).length > 0;
  }

  deny({ identity, reason, atMs }: KeptDenial): Promise<void> {
    return this.#changed(async (inside) => {
      await inside.query(
        `insert into mesh_denied (identity, reason, at_ms) values ($1, $2, $3)
         on conflict (identity) do update set reason = excluded.reason, at_ms = excluded.at_ms`,
        [identity, reason, atMs],
      );
      // Nobody takes its certificates any more, so nobody waits for them.
      await inside.query('delete from mesh_leaf where identity = $1', [identity]);
    });
  }

  allow(identity: string): Promise<boolean> {
    return this.#changed(async (inside) => {
      const rows = await inside.query('delete from mesh_denied where identity = $1 returning identity', [identity]);
      return rows.length > 0;
    });
  }

  federate({ trustDomain, anchors }: KeptFederation): Promise<void> {
    return this.#changed(async (inside) => {
      await inside.query(
        `insert into mesh_federation (trust_domain, anchors) values ($1, $2)
         on conflict (trust_domain) do update set anchors = excluded.anchors`,
        [trustDomain, JSON.stringify(anchors)],
      );
    });
  }

  unfederate(trustDomain: string): Promise<boolean> {
    return this.#changed(async (inside) => {
      const rows = await inside.query('delete from mesh_federation where trust_domain = $1 returning trust_domain', [
        trustDomain,
      ]);
      return rows.length > 0;
    });
  }

  async prune(beforeMs: number): Promise<void> {
    await this.#database.query('delete from mesh_leaf where not_after_ms <= $1', [beforeMs]);
    await this.#database.query('delete from mesh_join_token where expires_ms <= $1', [beforeMs]);
  }

  /** A change that the other control planes hear of. */
  #changed<T>(work: (inside: Queries) => Promise<T>): Promise<T> {
    return this.#database.transaction(async (inside) => {
      await inside.query('update mesh_authority set revision = revision + 1');
      await tellOthers(inside);
      return work(inside);
    });
  }
}

/** When the transaction is done. */
async function tellOthers(inside: Queries): Promise<void> {
  await inside.query('select pg_notify($1, $2)', [TRUST_CHANNEL, '']);
}

/** Takes a change back whose condition does not hold. */
class NotYet extends Error {}

const TOKEN_COLUMNS = 'id, hash, root, namespace, account, used, uses_max, created_ms, expires_ms';

function tokenOf(row: Row): KeptToken {
  return {
    id: textOf(row, 'id'),
    hash: textOf(row, 'hash'),
    root: textOf(row, 'root'),
    namespace: textOf(row, 'namespace'),
    account: textOf(row, 'account'),
    used: numberOf(row, 'used'),
    usesMax: numberOf(row, 'uses_max'),
    createdMs: numberOf(row, 'created_ms'),
    expiresMs: numberOf(row, 'expires_ms'),
  };
}

const purposeOf = (id: string): string => `mesh_issuer.key_sealed ${id}`;

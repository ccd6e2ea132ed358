/**
 * The tables, as a list of steps that only grows. A step that was released is never
 * edited: a database that has it will not run it again.
 */
import { type Database, numberOf } from './database.ts';

/** Of `pg_advisory_xact_lock`: one process at a time takes the steps. Any number that nobody else uses; ours are 0x46570000 and up. */
const MIGRATION_LOCK = 0x4657_0001;

/** Statements of each step. Times are milliseconds since the epoch; columns that end in `_sealed` are secret. */
export const STEPS: readonly (readonly string[])[] = [
  [
    `create table fourways_setting (
       name text primary key,
       value text not null
     )`,
    `create table acme_account (
       issuer text primary key,
       url text not null,
       key_sealed text not null,
       changed_ms float8 not null
     )`,
    `create table acme_certificate (
       name text primary key,
       terms text not null,
       chain_pem text not null,
       key_sealed text not null,
       changed_ms float8 not null
     )`,
    `create table acme_progress (
       name text primary key,
       progress text not null
     )`,
    `create table acme_challenge (
       name text primary key,
       kind text not null,
       hostname text not null,
       value_sealed text not null
     )`,
    `create table acme_revision (
       one boolean primary key,
       revision float8 not null
     )`,
    `insert into acme_revision (one, revision) values (true, 1)`,
    `create table acme_replica (
       id text primary key,
       revision float8 not null,
       seen_ms float8 not null
     )`,
  ],
  [
    `create table mesh_authority (
       one boolean primary key,
       revision float8 not null,
       trust_domain text not null,
       issuer text not null,
       state text not null
     )`,
    `create table mesh_issuer (
       id text primary key,
       chain_pem text not null,
       brought boolean not null,
       key_sealed text
     )`,
    `create table mesh_leaf (
       serial text primary key,
       n bigint generated always as identity,
       proxy text not null,
       identity text not null,
       issuer text not null,
       not_after_ms float8 not null,
       bundle text not null
     )`,
    `create index mesh_leaf_proxy on mesh_leaf (proxy, identity)`,
    `create index mesh_leaf_identity on mesh_leaf (identity)`,
    `create index mesh_leaf_end on mesh_leaf (not_after_ms)`,
    `create table mesh_join_token (
       id text primary key,
       hash text not null,
       root text not null,
       namespace text not null,
       account text not null,
       used float8 not null,
       uses_max float8 not null,
       created_ms float8 not null,
       expires_ms float8 not null
     )`,
    `create table mesh_denied (
       identity text primary key,
       reason text not null,
       at_ms float8 not null
     )`,
    `create table mesh_federation (
       trust_domain text primary key,
       anchors text not null
     )`,
  ],
  [
    `create table mesh_control (
       id text primary key,
       name text not null,
       beat float8 not null,
       leads boolean not null,
       revision float8 not null,
       floor float8 not null
     )`,
    `create table mesh_note (
       control text not null,
       kind text not null,
       name text not null,
       revision float8 not null,
       body text,
       primary key (control, kind, name)
     )`,
    `create index mesh_note_revision on mesh_note (control, revision)`,
  ],
];

/**
 * Takes every step that this database has not taken.
 *
 * @throws {Error} when a newer program has taken steps that this one does not know
 */
export async function migrate(database: Database, steps: typeof STEPS = STEPS): Promise<void> {
  await database.transaction(async (inside) => {
    await inside.query('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    await inside.query('create table if not exists fourways_migration (step integer primary key)');
    const rows = await inside.query('select coalesce(max(step), 0)::float8 as taken from fourways_migration');
    const taken = numberOf(rows[0]!, 'taken');
    if (taken > steps.length) {
      throw new Error(
        `Cannot use the state: it is of a newer Fourways (step ${taken}, this one knows ${steps.length})`,
      );
    }
    for (const [i, statements] of steps.entries()) {
      if (i < taken) continue;
      // oxlint-disable-next-line no-await-in-loop -- in their order, inside one transaction
      for (const statement of statements) await inside.query(statement);
      // oxlint-disable-next-line no-await-in-loop -- as above
      await inside.query('insert into fourways_migration (step) values ($1)', [i + 1]);
    }
  });
}

/** What control planes that share a store let each other know, in SQL: one text for PGlite and PostgreSQL. */
import { type Database, numberOf, type Row, textOf } from '../store/database.ts';

export type NoteKind = 'workload' | 'proxy';

/** What one control plane says of one instance. */
export interface Note {
  readonly kind: NoteKind;
  readonly name: string;
  /** Plain JSON; undefined: it has nothing to say of it any more. */
  readonly body: string | undefined;
}

/** Revisions are those of the control plane that wrote the note, and count up. */
export type KeptNote = Note & { readonly revision: number };

export interface KeptControl {
  readonly id: string;
  /** For people. */
  readonly name: string;
  /** Counts up as long as it lives; {@link ENDED} when it has ended in good order. */
  readonly beat: number;
  readonly leads: boolean;
  /** Of its newest note. */
  readonly revision: number;
  /** Who has read less than that has missed notes that were taken back. */
  readonly floor: number;
}

export const ENDED = -1;

/** On which others hear that something was written; its payload is the id of who wrote. */
export const NOTES_CHANNEL = 'fourways_mesh';

/** Read at a time. */
const READ_MAX = 2_000;

export class SharedStore {
  readonly #database: Pick<Database, 'query' | 'transaction'>;

  constructor(database: Pick<Database, 'query' | 'transaction'>) {
    this.#database = database;
  }

  async announce(id: string, name: string): Promise<void> {
    await this.#database.query(
      `insert into mesh_control (id, name, beat, leads, revision, floor) values ($1, $2, 0, false, 0, 0)
       on conflict (id) do nothing`,
      [id, name],
    );
  }

  /** @returns false when others have given it up meanwhile, with all that it had written */
  async beat(id: string, leads: boolean): Promise<boolean> {
    const rows = await this.#database.query(
      'update mesh_control set beat = beat + 1, leads = $2 where id = $1 returning id',
      [id, leads],
    );
    return rows.length > 0;
  }

  /** All of it or nothing. @returns as {@link SharedStore.beat} */
  write(id: string, notes: readonly KeptNote[], floor: number): Promise<boolean> {
    return this.#database.transaction(async (inside) => {
      // Who gives it up waits for this row, and sees that it lives.
      const rows = await inside.query(
        'update mesh_control set beat = beat + 1, revision = $2, floor = $3 where id = $1 returning id',
        [id, notes.at(-1)?.revision ?? 0, floor],
      );
      if (rows.length === 0) return false;
      await inside.query(
        `insert into mesh_note (control, kind, name, revision, body)
         select $1, note.kind, note.name, note.revision, note.body
         from json_to_recordset($2::json) as note (kind text, name text, revision float8, body text)
         on conflict (control, kind, name) do update set revision = excluded.revision, body = excluded.body`,
        [id, JSON.stringify(notes)],
      );
      await inside.query('delete from mesh_note where control = $1 and body is null and revision <= $2', [id, floor]);
      await inside.query('select pg_notify($1, $2)', [NOTES_CHANNEL, id]);
      return true;
    });
  }

  async controls(): Promise<readonly KeptControl[]> {
    const rows = await this.#database.query(
      'select id, name, beat, leads, revision, floor from mesh_control order by name, id',
    );
    return rows.map((row) => ({
      id: textOf(row, 'id'),
      name: textOf(row, 'name'),
      beat: numberOf(row, 'beat'),
      leads: row['leads'] === true,
      revision: numberOf(row, 'revision'),
      floor: numberOf(row, 'floor'),
    }));
  }

  /** The next ones after this revision, oldest first; none when there are no more. */
  async notes(control: string, after: number): Promise<readonly KeptNote[]> {
    const rows = await this.#database.query(
      `select kind, name, revision, body from mesh_note where control = $1 and revision > $2
       order by revision limit ${READ_MAX}`,
      [control, after],
    );
    return rows.map((row) => noteOf(row));
  }

  async end(id: string): Promise<void> {
    await this.#database.query('update mesh_control set beat = $2, leads = false where id = $1', [id, ENDED]);
    await this.#database.query('select pg_notify($1, $2)', [NOTES_CHANNEL, id]);
  }

  /** Of one that is gone, unless it has moved since `beat`. */
  forget({ id, beat }: Pick<KeptControl, 'id' | 'beat'>): Promise<void> {
    return this.#database.transaction(async (inside) => {
      const rows = await inside.query('delete from mesh_control where id = $1 and beat = $2 returning id', [id, beat]);
      if (rows.length > 0) await inside.query('delete from mesh_note where control = $1', [id]);
    });
  }
}

function noteOf(row: Row): KeptNote {
  const body = row['body'];
  return {
    kind: textOf(row, 'kind') as NoteKind,
    name: textOf(row, 'name'),
    revision: numberOf(row, 'revision'),
    body: typeof body === 'string' ? body : undefined,
  };
}

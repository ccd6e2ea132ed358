/** What both databases can do. One SQL text runs on either: what differs between drivers stays out of it. */

/** Only types that both drivers read alike: times are milliseconds as `float8`, JSON and sealed values are `text`. */
export type Value = string | number | boolean | null;

export type Row = Readonly<Record<string, Value>>;

export interface Queries {
  /** One statement. @throws {Error} when the database is away, or refuses it */
  query(sql: string, values?: readonly Value[]): Promise<readonly Row[]>;
}

export interface Database extends Queries {
  /** All of it or nothing. */
  transaction<T>(work: (inside: Queries) => Promise<T>): Promise<T>;
  /** For the log and the status: `PostgreSQL at db.test:5432`. Without user and password. */
  readonly name: string;
  close(): Promise<void>;
}

/** A column that is there and of this type, or a defect of ours. */
export function textOf(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw new TypeError(`Cannot read column "${column}": it is ${typeof value}`);
  return value;
}

export function numberOf(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== 'number') throw new TypeError(`Cannot read column "${column}": it is ${typeof value}`);
  return value;
}

/** On a connection that nobody else uses meanwhile. */
export async function inTransaction<T>(queries: Queries, work: (inside: Queries) => Promise<T>): Promise<T> {
  await queries.query('begin');
  try {
    const done = await work(queries);
    await queries.query('commit');
    return done;
  } catch (error) {
    await queries.query('rollback').catch(() => undefined);
    throw error;
  }
}

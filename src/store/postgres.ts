/** PostgreSQL, for state that several processes share. */
import pg from 'pg';
import { type Database, inTransaction, type Queries, type Row, type Value } from './database.ts';

/** Connections of one process. The state is small and asked rarely: one works, one is for whoever waits. */
const CONNECTIONS_MAX = 2;

/** How long a connection may take, and a statement. Beyond: the store is away. */
const CONNECT_MS_MAX = 5_000;
const QUERY_MS_MAX = 10_000;

/** @param onLost  told in words when the server closes a connection that nobody is using */
export function openPostgres(url: string, onLost: (why: string) => void): Database {
  const pool = new pg.Pool({ ...connectionOf(url), max: CONNECTIONS_MAX, idleTimeoutMillis: 30_000 });
  pool.on('error', (error) => onLost(error.message));
  return {
    name: nameOf(url),
    query: async (sql, values) => rowsOf(await pool.query(sql, [...(values ?? [])])),
    async transaction(work) {
      const client = await pool.connect();
      let broken: Error | undefined;
      try {
        return await inTransaction(queriesOf(client), work);
      } catch (error) {
        broken = error instanceof Error ? error : new Error(String(error));
        throw error;
      } finally {
        // A connection that failed inside a transaction is not used again.
        client.release(broken);
      }
    },
    close: () => pool.end(),
  };
}

/** One connection of its own: what belongs to a session, such as an advisory lock, lives as long as it. */
export interface Session extends Queries {
  close(): Promise<void>;
}

/**
 * @param onEnd   called once when the session has ended, whoever ended it; not for one that never began
 * @param onNews  what comes on channels that it listens to
 */
export async function openSession(
  url: string,
  onEnd: (why: string) => void,
  onNews?: (channel: string, payload: string) => void,
): Promise<Session> {
  const client = new pg.Client({ ...connectionOf(url), keepAlive: true });
  let why = 'the connection was closed';
  client.on('error', (error) => (why = error.message));
  client.on('notification', ({ channel, payload = '' }) => onNews?.(channel, payload));
  await client.connect();
  // The client ends too when the server refuses it, which whoever asked is told by the rejection.
  client.on('end', () => onEnd(why));
  return { ...queriesOf(client), close: () => client.end() };
}

function connectionOf(url: string): pg.ClientConfig {
  return {
    connectionString: url,
    connectionTimeoutMillis: CONNECT_MS_MAX,
    query_timeout: QUERY_MS_MAX,
    application_name: 'fourways',
  };
}

function queriesOf(client: pg.ClientBase): Queries {
  return { query: async (sql, values) => rowsOf(await client.query(sql, [...(values ?? [])])) };
}

function rowsOf({ rows }: { readonly rows: readonly Readonly<Record<string, unknown>>[] }): readonly Row[] {
  return rows as readonly Readonly<Record<string, Value>>[];
}

/** Host, port and database of a connection string; user and password are nobody's business. */
function nameOf(url: string): string {
  const { hostname, port, pathname, searchParams } = new URL(url);
  const host = hostname === '' ? (searchParams.get('host') ?? 'localhost') : hostname;
  return `PostgreSQL at ${host}${port === '' ? '' : `:${port}`}${pathname}`;
}

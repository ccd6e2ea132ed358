/** The admin API of a running Fourways, read by commands. */
import { CommandFailure, type Io, type Option } from './command.ts';
import { readHostPort } from './values.ts';

/** Where `fourways up` serves its admin API unless told otherwise. */
export const ADMIN_DEFAULT = '127.0.0.1:9900';

export const ADMIN_OPTION = {
  type: 'string',
  value: 'HOST:PORT',
  description: `Ask the Fourways that runs there; its admin API is at ${ADMIN_DEFAULT} unless told otherwise`,
} as const satisfies Option;

/**
 * One JSON document of the admin API.
 *
 * @param admin  `HOST:PORT` as written by the user
 * @throws {UsageError} when that is no address
 * @throws {CommandFailure} when nobody answers there, or something else does
 */
export async function readAdmin(io: Io, admin: string, path: string): Promise<unknown> {
  const { host, port } = readHostPort('--admin', admin);
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}${path}`;
  const { status, body } = await io.get(url).catch((error: unknown) => {
    throw new CommandFailure(`Cannot reach ${url}: ${reasonOf(error)}. Is "fourways up" running there?`);
  });
  if (status !== 200) throw new CommandFailure(`Cannot read ${url}: it answered with status ${status}`);
  try {
    return JSON.parse(body);
  } catch {
    throw new CommandFailure(`Cannot read ${url}: the answer is not JSON, so this is not the admin API of Fourways`);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ETIMEDOUT: 'no answer in time',
  ENOTFOUND: 'the name is not known',
  EHOSTUNREACH: 'the host cannot be reached',
  ECONNRESET: 'the connection was closed',
};

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as Error & { code?: unknown };
  return (typeof code === 'string' ? REASONS[code] : undefined) ?? error.message;
}

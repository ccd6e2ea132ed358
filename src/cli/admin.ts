/** The admin API of a running Fourways, read by commands. */
import { portKey } from '../ir/key.ts';
import { CommandFailure, type Io, type Option } from './command.ts';
import { readHostPort } from './values.ts';

/** Where `fourways up` serves its admin API unless told otherwise. */
export const ADMIN_DEFAULT = '127.0.0.1:9900';

export const ADMIN_OPTION = {
  type: 'string',
  value: 'HOST:PORT',
  description: `Ask the Fourways that runs there; its admin API is at ${ADMIN_DEFAULT} unless told otherwise`,
} as const satisfies Option;

/** Where all of a mesh are to be heard: each control plane knows the proxies that are connected to it. */
export const ADMINS_OPTION = {
  ...ADMIN_OPTION,
  multiple: true,
  description: `Ask the Fourways that runs there; may be given for each control plane; ${ADMIN_DEFAULT} unless told otherwise`,
} as const satisfies Option;

interface Posted {
  readonly path: string;
  readonly body: object;
}

/** Statuses that carry the document: `/readyz` answers 503 when the gateway is not ready, and says why. */
const READABLE: ReadonlySet<number> = new Set([200, 503]);

/**
 * One JSON document of the admin API.
 *
 * @param admin  `HOST:PORT` as written by the user
 * @param what  path of the document; or what is posted to it first
 * @throws {UsageError} when that is no address
 * @throws {CommandFailure} when nobody answers there, or something else does
 */
export async function readAdmin(io: Io, admin: string, what: string | Posted): Promise<unknown> {
  return (await ask(io, admin, what)).document;
}

/** The same, of what not every Fourways has: undefined where it has none. @throws as {@link readAdmin} */
export async function findAdmin(io: Io, admin: string, path: string): Promise<unknown> {
  return (await ask(io, admin, path, NOT_THERE)).document;
}

const NOT_THERE = 404;

interface Found {
  readonly document: unknown;
}

async function ask(io: Io, admin: string, what: string | Posted, absent?: number): Promise<Found> {
  const { host, port } = readHostPort('--admin', admin);
  const url = `http://${portKey(host, port)}${typeof what === 'string' ? what : what.path}`;
  const answer = typeof what === 'string' ? io.get(url) : io.post(url, what.body);
  const { status, body } = await answer.catch((error: unknown) => {
    throw reachFailure(url, error);
  });
  const document = parsed(body);
  if (document !== undefined && READABLE.has(status)) return { document };
  const detail = detailOf(body);
  if (detail !== undefined && status === absent) return { document: undefined };
  if (detail !== undefined) throw new CommandFailure(`Cannot read ${url}: ${detail}`);
  throw new CommandFailure(
    `Cannot read ${url}: it answered with status ${status} and not as the admin API of Fourways does`,
  );
}

/** Nobody answers. */
export function reachFailure(url: string, error: unknown): CommandFailure {
  return new CommandFailure(`Cannot reach ${url}: ${reasonOf(error)}. Is "fourways up" running there?`);
}

/** What a problem document says; undefined for anything else. */
export function detailOf(body: string): string | undefined {
  const { detail } = { ...(parsed(body) as { readonly detail?: unknown } | undefined) };
  return typeof detail === 'string' ? detail : undefined;
}

/** An object, or undefined for anything else. */
function parsed(body: string): object | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
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

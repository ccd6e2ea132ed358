/** Options of every command that serves until it is told to stop. */
import { resolve } from 'node:path';
import { DRAIN_MS, TICKET_KEYS_MS_MAX, TICKET_KEYS_MS_MIN } from '../base/limits.ts';
import type { LogLevel } from '../base/log.ts';
import { type IssuerFiles, type Options, UsageError } from './command.ts';
import { readDuration } from './values.ts';

/** One worker thread for each core is enough; more than this is a slip of the finger. */
export const WORKERS_MAX = 256;

const DRAIN_MAX_MS = 24 * 3_600_000;

export const LOG_LEVEL_OPTION = {
  type: 'string',
  value: 'LEVEL',
  choices: ['debug', 'info', 'warn', 'error'],
  description: 'Least level that is logged; default info',
} as const satisfies Options[string];

export const ZONE_OPTION = {
  type: 'string',
  value: '[REGION/]ZONE',
  description: 'Zone that this host is in: endpoints in the same one are preferred, then those of the same region',
} as const satisfies Options[string];

export const MESH_ISSUER_OPTIONS = {
  'mesh-issuer': {
    type: 'string',
    value: 'FILE',
    description: 'Issuer of the mesh that is brought, as PEM: its certificate, then all up to its root',
  },
  'mesh-issuer-key': { type: 'string', value: 'FILE', description: 'Private key of that issuer, as PEM' },
} as const satisfies Options;

/** @throws {UsageError} when one of the two is missing */
export function readMeshIssuer(
  { 'mesh-issuer': chain, 'mesh-issuer-key': key }: Partial<Record<keyof typeof MESH_ISSUER_OPTIONS, string>>,
  cwd: string,
): IssuerFiles | undefined {
  if (chain === undefined && key === undefined) return undefined;
  if (chain === undefined || key === undefined) {
    throw new UsageError('Options --mesh-issuer and --mesh-issuer-key stand together');
  }
  return { chain: resolve(cwd, chain), key: resolve(cwd, key) };
}

const ZONE = /^(?=.{1,63}$)[A-Za-z0-9][-A-Za-z0-9_.]*(\/[A-Za-z0-9][-A-Za-z0-9_.]*)?$/;

/** @throws {UsageError} when it is no zone */
export function readZone(text = ''): string {
  if (text === '' || ZONE.test(text)) return text;
  throw new UsageError(`Option --zone is "${text}": must be a zone such as eu/a or eu-west-1a`);
}

/** @throws {UsageError} when it is no time, or too long */
export function readDrain(text: string | undefined): number {
  return text === undefined ? DRAIN_MS : readDuration('--drain', text, DRAIN_MAX_MS);
}

/** @throws {UsageError} when it is no time, or too short or too long */
export function readTicketKeys(text: string): number {
  const ms = readDuration('--ticket-keys', text, TICKET_KEYS_MS_MAX);
  if (ms >= TICKET_KEYS_MS_MIN) return ms;
  throw new UsageError(`Option --ticket-keys is "${text}": must be at least ${TICKET_KEYS_MS_MIN / 1_000}s`);
}

export function readLogLevel(text: string | undefined): LogLevel {
  // The table has no other choices.
  return (text ?? 'info') as LogLevel;
}

/** What an authorizer has said, whatever it was asked over. Holds for every request with the same key, so it is frozen. */
import type { Fault } from '../../base/fault.ts';
import type { Exchange, Reply } from '../../filter/filter.ts';
import type { Headers } from '../../http/headers.ts';

/** As `append_action` of Envoy's HeaderValueOption has them. */
export type ChangeKind = 'set' | 'append' | 'add-if-absent' | 'overwrite-if-exists';

export interface FieldChange {
  readonly kind: ChangeKind;
  readonly name: string;
  readonly value: string;
}

export interface Allowed {
  readonly kind: 'allowed';
  /** Of the request on its way upstream. */
  readonly request: readonly FieldChange[];
  /** Names in lower case. */
  readonly remove: readonly string[];
  /** Of the answer for the client. */
  readonly answer: readonly FieldChange[];
  readonly query: QueryChange | undefined;
  readonly notes: readonly Note[];
}

export interface QueryChange {
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
}

export type Note = readonly [name: string, value: string];

export interface Refused {
  readonly kind: 'refused';
  readonly answer: Reply | Fault;
  readonly notes: readonly Note[];
}

/** `away`: there is no answer. `invalid`: there is one, and it says nothing that could be relied on. */
export interface Undecided {
  readonly kind: 'away' | 'invalid';
  /** For the log. */
  readonly why: string;
}

export type Decision = Allowed | Refused;

/** What of a body an authorizer sees. */
export interface BodySeen {
  readonly bytes: Buffer;
  readonly isPart: boolean;
}

/** Asks an authorizer. Never rejects. */
export type Ask = (x: Exchange, body: BodySeen | undefined) => Promise<Decision | Undecided>;

export function change(headers: Headers, { kind, name, value }: FieldChange): void {
  if (kind === 'set') return headers.set(name, value);
  const isThere = headers.has(name);
  if (kind === 'append') return headers.add(name, value);
  if (kind === 'add-if-absent' && !isThere) headers.add(name, value);
  if (kind === 'overwrite-if-exists' && isThere) headers.set(name, value);
}

/** A query after a change: parameters that are not named keep their place and their form. */
export function changeQuery(query: string, { set, remove }: QueryChange): string {
  const gone = new Set([...remove, ...set.map(([name]) => name)]);
  const kept = query
    .slice(1)
    .split('&')
    .filter((pair) => pair !== '' && !gone.has(nameOf(pair)));
  const added = set.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  const all = [...kept, ...added];
  return all.length === 0 ? '' : `?${all.join('&')}`;
}

/** As servers read it: a plus is a space; what cannot be decoded stands for itself. */
function nameOf(pair: string): string {
  const end = pair.indexOf('=');
  const name = (end < 0 ? pair : pair.slice(0, end)).replaceAll('+', ' ');
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

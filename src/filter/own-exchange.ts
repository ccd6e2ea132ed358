/**
 * What filters of users see of a request and its answer: a plain copy, so that
 * it can go to another thread, and what they have changed in it. Nothing that
 * they keep or do later reaches the exchange itself.
 */
import { parseAuthority } from '../http/authority.ts';
import type { ResponseHead } from '../http/message.ts';
import { type Exchange, NOTES_MAX } from './filter.ts';
import type { Identity } from './identity.ts';
import { applyFieldEdits, type FieldEdit, Fields, linesOf } from './own-fields.ts';

/** Plain. */
export interface ExchangeCopy {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  readonly host: string;
  readonly path: string;
  readonly query: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly bodyLength: number;
  readonly clientIp: string;
  readonly peerIp: string;
  readonly serverName: string;
  readonly tlsVersion: string;
  readonly requestId: string;
  readonly listenerPort: number;
  readonly rule: string;
  readonly identity: Identity | undefined;
  readonly matchedPath: string | undefined;
}

/** Plain. */
export interface ResponseCopy {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly bodyLength: number;
}

/** What a hook has changed. Plain. */
export interface Edits {
  readonly authority: string | undefined;
  readonly path: string | undefined;
  readonly query: string | undefined;
  readonly requestFields: readonly FieldEdit[];
  readonly status: number | undefined;
  readonly responseFields: readonly FieldEdit[];
  readonly notes: readonly (readonly [name: string, value: string])[];
}

export function copyOfExchange(x: Exchange, matchedPath: string | undefined): ExchangeCopy {
  const { request, client, identity } = x;
  return {
    method: request.method,
    scheme: request.scheme,
    authority: request.authority,
    host: request.host,
    path: request.path,
    query: request.query,
    headers: linesOf(request.headers),
    bodyLength: request.bodyLength,
    clientIp: x.clientIp,
    peerIp: client.peerIp,
    serverName: client.serverName,
    tlsVersion: client.tlsVersion,
    requestId: x.requestId,
    listenerPort: x.listenerPort,
    rule: x.rule.name,
    identity,
    matchedPath,
  };
}

export function copyOfResponse({ status, headers, bodyLength }: ResponseHead): ResponseCopy {
  return { status, headers: linesOf(headers), bodyLength };
}

export function applyEdits(x: Exchange, response: ResponseHead | undefined, edits: Edits): void {
  const { request } = x;
  if (edits.authority !== undefined) request.authority = edits.authority;
  if (edits.path !== undefined) request.path = edits.path;
  if (edits.query !== undefined) request.query = edits.query;
  applyFieldEdits(request.headers, edits.requestFields);
  for (const [name, value] of edits.notes) x.note(name, value);
  if (response === undefined) return;
  if (edits.status !== undefined) {
    response.status = edits.status;
    response.reason = '';
  }
  applyFieldEdits(response.headers, edits.responseFields);
}

export class OwnRequest {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  /** Host name in lower case, by which the request was routed. */
  readonly host: string;
  readonly headers: Fields;
  /** Bytes of body that the head announces; -1 when it is not known. */
  readonly bodyLength: number;
  readonly #edited: { authority?: string; path?: string; query?: string } = {};
  readonly #copy: ExchangeCopy;

  constructor(copy: ExchangeCopy) {
    const { method, scheme, host, headers, bodyLength } = copy;
    this.method = method;
    this.scheme = scheme;
    this.host = host;
    this.headers = new Fields(headers);
    this.bodyLength = bodyLength;
    this.#copy = copy;
  }

  /** Host and port as the upstream gets them. */
  get authority(): string {
    return this.#edited.authority ?? this.#copy.authority;
  }

  set authority(value: string) {
    if (typeof value !== 'string' || parseAuthority(value) === undefined) {
      throw new TypeError('Expected a host name or address with an optional port');
    }
    this.#edited.authority = value;
  }

  /** In normal form, percent-encoded. What is set here is what the upstream gets; the route does not change. */
  get path(): string {
    return this.#edited.path ?? this.#copy.path;
  }

  set path(value: string) {
    if (typeof value !== 'string' || !/^\/[\x21\x22\x24-\x3e\x40-\x7e]*$/.test(value)) {
      throw new TypeError('Expected a path that begins with "/", percent-encoded, without query');
    }
    this.#edited.path = value;
  }

  /** Empty, or with its question mark. */
  get query(): string {
    return this.#edited.query ?? this.#copy.query;
  }

  set query(value: string) {
    if (typeof value !== 'string' || !/^(?:\?[\x21\x22\x24-\x7e]*)?$/.test(value)) {
      throw new TypeError('Expected a query that begins with "?", percent-encoded');
    }
    this.#edited.query = value;
  }

  takeEdits(): Pick<Edits, 'authority' | 'path' | 'query' | 'requestFields'> {
    const { authority, path, query } = this.#edited;
    return { authority, path, query, requestFields: this.headers.takeEdits() };
  }
}

export class OwnResponse {
  readonly headers: Fields;
  /** Bytes of body that the head announces; -1 when it is not known. */
  readonly bodyLength: number;
  #status: number;
  #edited: number | undefined;

  constructor({ status, headers, bodyLength }: ResponseCopy) {
    this.#status = status;
    this.headers = new Fields(headers);
    this.bodyLength = bodyLength;
  }

  get status(): number {
    return this.#status;
  }

  set status(value: number) {
    if (!Number.isInteger(value) || value < 200 || value > 599)
      throw new TypeError('Expected a status from 200 to 599');
    this.#status = this.#edited = value;
  }

  takeEdits(): Pick<Edits, 'status' | 'responseFields'> {
    return { status: this.#edited, responseFields: this.headers.takeEdits() };
  }
}

/** One request from head to end. The same object for every hook of one filter; what others changed meanwhile is seen in it. */
export class OwnExchange {
  request: OwnRequest;
  #copy: ExchangeCopy;
  #notes: (readonly [string, string])[] = [];

  constructor(copy: ExchangeCopy) {
    this.#copy = copy;
    this.request = new OwnRequest(copy);
  }

  /** Address of the client, after trusted hops. */
  get clientIp(): string {
    return this.#copy.clientIp;
  }

  /** The connection. */
  get client(): Pick<ExchangeCopy, 'peerIp' | 'serverName' | 'tlsVersion'> {
    return this.#copy;
  }

  get requestId(): string {
    return this.#copy.requestId;
  }

  get listenerPort(): number {
    return this.#copy.listenerPort;
  }

  /** Rule that was chosen: `HTTPRoute/shop/web/0`. */
  get rule(): string {
    return this.#copy.rule;
  }

  /** Who is asking, once a filter of phase `authenticate` has found out. */
  get identity(): Identity | undefined {
    return this.#copy.identity;
  }

  /** The prefix or exact path that matched; undefined for a regular expression. */
  get matchedPath(): string | undefined {
    return this.#copy.matchedPath;
  }

  /** Writes a word into the access log. Never a secret. */
  note(name: string, value: string): void {
    if (this.#notes.length < NOTES_MAX) this.#notes.push([String(name), String(value)]);
  }

  /** Before another hook: what the request is by now. */
  refresh(copy: ExchangeCopy): void {
    this.#copy = copy;
    this.request = new OwnRequest(copy);
  }

  /** Undefined when nothing was changed. */
  takeEdits(response: OwnResponse | undefined): Edits | undefined {
    const ofRequest = this.request.takeEdits();
    const { status, responseFields } = response?.takeEdits() ?? { status: undefined, responseFields: [] };
    const notes = this.#notes;
    const { authority, path, query, requestFields } = ofRequest;
    const isSame =
      (authority ?? path ?? query ?? status) === undefined &&
      requestFields.length + responseFields.length + notes.length === 0;
    if (isSame) return undefined;
    this.#notes = [];
    return { ...ofRequest, status, responseFields, notes };
  }
}

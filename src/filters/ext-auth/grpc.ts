/** An authorizer that speaks `envoy.service.auth.v3.Authorization`. Loaded where one is asked. */
import { parseDuration } from '../../base/duration.ts';
import { Fault } from '../../base/fault.ts';
import type { Env, UpstreamAnswer } from '../../filter/env.ts';
import type { Exchange, Reply } from '../../filter/filter.ts';
import { Headers } from '../../http/headers.ts';
import { parseStatus } from '../../http/grpc/status.ts';
import { type ExtAuthConfig, FAULTS, type GrpcConfig } from './config.ts';
import { isFieldValue, isSettable } from './field-guard.ts';
import { sentNames, undecided } from './http.ts';
import {
  type CheckRequest,
  type CheckResponse,
  decodeResponse,
  type DeniedResponse,
  encodeRequest,
  type HeaderOption,
  type OkResponse,
} from './messages.ts';
import type { Allowed, Ask, BodySeen, ChangeKind, Decision, FieldChange, Note, Undecided } from './verdict.ts';

const METHOD = '/envoy.service.auth.v3.Authorization/Check';

export function grpcQuestions(config: ExtAuthConfig, grpc: GrpcConfig, env: Env): Ask {
  const upstream = env.upstream(config.backend);
  const { answerBytesMax } = config;
  const timeoutMs = parseDuration(config.timeout)!;
  const writer = new Writer(config, grpc, env);
  const reader = new Reader(env);
  const headers = Headers.of([
    ['content-type', 'application/grpc'],
    ['grpc-timeout', `${timeoutMs}m`],
    ['user-agent', 'fourways'],
  ]);
  return async (x, body) => {
    const answer = await upstream.ask({
      method: 'POST',
      target: METHOD,
      ...(grpc.authority !== undefined && { authority: grpc.authority }),
      headers,
      body: encodeRequest(writer.request(x, body)),
      timeoutMs,
      answerBytesMax,
    });
    return answer instanceof Fault ? undecided(answer) : reader.read(answer);
  };
}

class Writer {
  readonly #grpc: GrpcConfig;
  readonly #env: Env;
  readonly #sent: ReadonlySet<string> | undefined;
  readonly #bodyAs: 'bytes' | 'text' | undefined;

  constructor({ withBody }: ExtAuthConfig, grpc: GrpcConfig, env: Env) {
    this.#grpc = grpc;
    this.#env = env;
    this.#sent = sentNames(grpc.requestHeaders);
    this.#bodyAs = withBody?.as;
  }

  request(x: Exchange, body: BodySeen | undefined): CheckRequest {
    const { request, client, identity } = x;
    const wallMs = this.#env.wallMs();
    return {
      attributes: {
        source: this.#source(x),
        request: {
          time: { seconds: BigInt(Math.floor(wallMs / 1000)), nanos: (wallMs % 1000) * 1_000_000 },
          http: {
            id: x.requestId,
            method: request.method,
            headers: this.#headers(x, body),
            path: request.path + request.query,
            host: request.authority,
            scheme: request.scheme,
            size: BigInt(request.bodyLength),
            ...(body !== undefined && this.#bodyAs === 'text' && { body: body.bytes.toString() }),
            ...(body !== undefined && this.#bodyAs === 'bytes' && { rawBody: body.bytes }),
          },
        },
        contextExtensions: this.#grpc.contextExtensions,
        ...(client.serverName !== '' && { tlsSession: { sni: client.serverName } }),
        ...(identity !== undefined && {
          metadataContext: {
            filterMetadata: {
              'fourways.identity': {
                methods: [...identity.methods],
                subject: identity.subject,
                issuer: identity.issuer,
                consumer: identity.consumer?.name ?? '',
                groups: [...(identity.consumer?.groups ?? [])],
                scopes: [...identity.scopes],
              },
            },
          },
        }),
      },
    };
  }

  #source({ client, clientIp, identity }: Exchange): NonNullable<CheckRequest['attributes']['source']> {
    const { clientCertificate: certificate } = client;
    const principal = identity?.workload ?? certificate?.uri[0] ?? certificate?.dns[0] ?? certificate?.subject ?? '';
    return {
      address: {
        address: {
          case: 'socketAddress',
          // Behind proxies of ours, the port of the socket is theirs.
          value: {
            address: clientIp,
            portSpecifier: { case: 'portValue', value: clientIp === client.peerIp ? client.peerPort : 0 },
          },
        },
      },
      principal,
      ...(certificate !== undefined &&
        this.#grpc.certificate === 'send' && { certificate: encodeURIComponent(pemOf(certificate.der)) }),
    };
  }

  /** Pseudo-fields among them, as Envoy has them; several lines of a name as one. */
  #headers(x: Exchange, body: BodySeen | undefined): Record<string, string> {
    const { request } = x;
    const headers = new Map<string, string>();
    request.headers.forEach((name, value) => {
      const lowerName = name.toLowerCase();
      if (this.#sent !== undefined && !this.#sent.has(lowerName)) return;
      const before = headers.get(lowerName);
      // RFC 6265 section 5.4 and RFC 9113 section 8.2.3: lines of Cookie are joined in their own way.
      const joint = lowerName === 'cookie' ? '; ' : ',';
      headers.set(lowerName, before === undefined ? utf8(value) : before + joint + utf8(value));
    });
    headers.set(':authority', request.authority);
    headers.set(':method', request.method);
    headers.set(':path', request.path + request.query);
    headers.set(':scheme', request.scheme);
    headers.set('x-forwarded-for', x.clientIp);
    headers.set('x-forwarded-proto', request.scheme);
    headers.set('x-request-id', x.requestId);
    headers.delete('x-envoy-auth-partial-body');
    if (body !== undefined) headers.set('x-envoy-auth-partial-body', String(body.isPart));
    return Object.fromEntries(headers);
  }
}

function pemOf(der: Buffer): string {
  const lines = der.toString('base64').replace(/(.{64})/g, '$1\n');
  return `-----BEGIN CERTIFICATE-----\n${lines.trimEnd()}\n-----END CERTIFICATE-----\n`;
}

/** Texts of protobuf are UTF-8, ours are latin1 characters for bytes; bytes that are no UTF-8 become U+FFFD. */
function utf8(value: string): string {
  return /^[\x00-\x7f]*$/.test(value) ? value : Buffer.from(value, 'latin1').toString();
}

class Reader {
  readonly #env: Env;

  constructor(env: Env) {
    this.#env = env;
  }

  read({ status, headers, body, trailers }: UpstreamAnswer): Decision | Undecided {
    if (status !== 200) return { kind: 'away', why: `It answered ${status}` };
    const said = trailers?.get('grpc-status') ?? headers.get('grpc-status');
    if (said === undefined) return { kind: 'invalid', why: 'It ended without grpc-status' };
    if (parseStatus(said) !== 0) return { kind: 'away', why: `It ended with grpc-status ${parseStatus(said)}` };
    const response = decodeResponse(body);
    return typeof response === 'string' ? { kind: 'invalid', why: response } : this.#decision(response);
  }

  /** `status` decides, not which of the answers is there: `OK` is 0, which protobuf may leave out. */
  #decision({ status, httpResponse, dynamicMetadata }: CheckResponse): Decision | Undecided {
    const isOk = (status?.code ?? 0) === 0;
    if (httpResponse.case === 'errorResponse') return { kind: 'away', why: 'It says that it failed itself' };
    if (isOk) {
      if (httpResponse.case === 'deniedResponse') return { kind: 'invalid', why: 'It says OK and denied' };
      const ok = httpResponse.case === 'okResponse' ? httpResponse.value : undefined;
      return this.#allowed(ok, notesOf(dynamicMetadata ?? ok?.dynamicMetadata));
    }
    const notes = notesOf(dynamicMetadata);
    if (httpResponse.case === 'deniedResponse') {
      return { kind: 'refused', answer: this.#reply(httpResponse.value), notes };
    }
    return { kind: 'refused', answer: new Fault(FAULTS['extAuth.refused'], `Status ${status!.code}`), notes };
  }

  #allowed(ok: OkResponse | undefined, notes: readonly Note[]): Allowed {
    const set = ok?.queryParametersToSet ?? [];
    const remove = ok?.queryParametersToRemove ?? [];
    return {
      kind: 'allowed',
      request: this.#changes(ok?.headers ?? [], 'set'),
      remove: (ok?.headersToRemove ?? []).map((name) => name.toLowerCase()).filter((name) => this.#guard(name, '')),
      answer: this.#changes(ok?.responseHeadersToAdd ?? [], 'append'),
      query:
        set.length === 0 && remove.length === 0
          ? undefined
          : { set: set.map(({ key, value }) => [key, value.toWellFormed()] as const), remove },
      notes,
    };
  }

  #reply({ status, headers, body }: DeniedResponse): Reply {
    const code = status?.code ?? 0;
    const changes = this.#changes(headers, 'append');
    const hasType = changes.some(({ name }) => name === 'content-type');
    return {
      kind: 'reply',
      status: code >= 200 && code <= 599 ? code : FAULTS['extAuth.refused'].status,
      reason: 'extAuth',
      headers: [
        ...changes.map(({ name, value }) => [name, value] as const),
        ...(body === '' || hasType ? [] : [['content-type', 'text/plain; charset=utf-8'] as const]),
      ],
      body,
    };
  }

  #changes(options: readonly HeaderOption[], otherwise: ChangeKind): FieldChange[] {
    return options.flatMap(({ header, append, appendAction }) => {
      const name = header?.key.toLowerCase() ?? '';
      const value = valueOf(header);
      if (!this.#guard(name, value)) return [];
      return [{ kind: kindOf(append, appendAction) ?? otherwise, name, value }];
    });
  }

  #guard(name: string, value: string): boolean {
    const isGood = isSettable(name) && isFieldValue(value);
    if (!isGood) this.#env.count('header_dropped');
    return isGood;
  }
}

/** `raw_value` is for bytes that are no UTF-8; only one of the two is set. */
function valueOf(header: HeaderOption['header']): string {
  if (header === undefined) return '';
  const bytes = header.rawValue.length > 0 ? Buffer.from(header.rawValue) : Buffer.from(header.value);
  return bytes.toString('latin1').trim();
}

const ACTIONS: readonly (ChangeKind | undefined)[] = [undefined, 'add-if-absent', 'set', 'overwrite-if-exists'];

/** The older field wins where it is there. Undefined for what means another thing in each place. */
function kindOf(append: boolean | undefined, action: number): ChangeKind | undefined {
  if (append !== undefined) return append ? 'append' : 'set';
  return ACTIONS[action];
}

/** A note is a word of the log: what is nested or long is not one. */
const NOTE_CHARS_MAX = 128;

function notesOf(metadata: Readonly<Record<string, unknown>> | undefined): Note[] {
  if (metadata === undefined) return [];
  return Object.entries(metadata).flatMap(([name, value]) => {
    if (!/^[A-Za-z0-9_.-]{1,64}$/.test(name)) return [];
    const isScalar = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
    return isScalar ? [[name, String(value).slice(0, NOTE_CHARS_MAX)] as const] : [];
  });
}

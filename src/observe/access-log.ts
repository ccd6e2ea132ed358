/**
 * The access log: one JSON line a request, built by hand and written in batches.
 *
 * A {@link LogGate} decides per request whether a line is written at all; that
 * is the only part that every request pays for.
 */
import { isUtf8 } from 'node:buffer';
import type { Clock } from '../base/clock.ts';
import type { Fault } from '../base/fault.ts';
import type { Random } from '../base/random.ts';
import type { Headers } from '../http/headers.ts';
import { workloadOf } from '../http/client-identity.ts';
import type { ClientCertificate } from '../net/client-certificate.ts';
import { LATENCY_FIELDS, latencyParts, type Marks, milliseconds, THOUSANDTHS } from './latency.ts';

/** The fields of `AccessLogPolicy` (ir/plan.ts), which fits here as it is. */
export interface LogPolicy {
  readonly enabled: boolean;
  /** Lines per second and worker that are always written; faults and 5xx have the same allowance again. */
  readonly linesPerSecond: number;
  /** Share of the requests beyond that allowance that is still written, 0 to 1. */
  readonly sample: number;
  /** Request headers to log, lower case. */
  readonly headers: readonly string[];
  readonly query: 'omit' | 'keep';
}

/** What a line says. Read at once: the caller may use the object again. Strings may hold anything; they are escaped. */
export interface AccessEntry {
  readonly requestId: string;
  /** 32 hex digits of the W3C trace context; empty when there is none. */
  readonly traceId: string;
  readonly method: string;
  readonly scheme: string;
  /** As the client named it. */
  readonly host: string;
  readonly path: string;
  /** With its `?`; written only when the policy keeps it. */
  readonly query: string;
  /** 0 when no answer could be given. */
  readonly status: number;
  /** Status of gRPC; -1 for a request that is not of gRPC, or has none. */
  readonly grpcStatus: number;
  readonly fault: Fault | undefined;
  /** Rule name; empty when none was found. */
  readonly rule: string;
  readonly cluster: string;
  /** `ADDRESS:PORT` of the last attempt; empty when there was none. */
  readonly endpoint: string;
  readonly attempts: number;
  /** Who was asking, as a filter found out: method, subject, name of the consumer. */
  readonly identity?: LoggedIdentity | undefined;
  /** Words of filters: name, value, name, value … */
  readonly notes?: readonly string[] | undefined;
  /** Key of the listener in the plan. */
  readonly listener: string;
  readonly clientIp: string;
  /** Who named another one with the PROXY protocol; empty when nobody did. */
  readonly proxyIp: string;
  /** Body bytes. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** `TLSv1.3`; empty on a plain connection. */
  readonly tlsVersion: string;
  readonly tlsCipher: string;
  /** Verified; undefined when there was none. */
  readonly clientCertificate: ClientCertificate | undefined;
  readonly planVersion: string;
  /** Of the request as it came; undefined when its head could not be read. */
  readonly headers: Headers | undefined;
  readonly marks: Marks;
}

export interface LoggedIdentity {
  readonly methods: readonly string[];
  readonly subject: string;
  readonly consumer: { readonly name: string } | undefined;
}

export interface AccessLogOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Takes whole lines, each with its newline. While the promise it returns is open, lines are kept here. */
  readonly flush: (batch: string) => void | Promise<void>;
  readonly flushMs?: number;
  /** Called with the number of lines written, and of lines lost because `flush` was too slow. */
  readonly onWritten?: (lines: number) => void;
  readonly onDropped?: (lines: number) => void;
}

/** A batch is written early at this size. */
const BATCH_CHARS = 64 * 1024;

/** Lines kept while the reader is slow. Beyond: lines are dropped and counted, so a stuck reader cannot fill memory. */
const BUFFER_CHARS_MAX = 1024 * 1024;

/** How long a line may wait for company. */
const FLUSH_MS = 200;

export class AccessLog {
  readonly #options: AccessLogOptions;
  readonly #stamp = new Stamp();
  readonly #names = new QuotedNames();
  readonly #gates = new Set<LogGate>();
  #buffer = '';
  #lines = 0;
  #flushing = false;
  #stopFlushing: (() => void) | undefined;
  #stopSeconds: (() => void) | undefined;

  constructor(options: AccessLogOptions) {
    this.#options = options;
  }

  /** The decision for one listener. `close` it with the snapshot that owns it. */
  gate(policy: LogPolicy): LogGate {
    const gate: LogGate = new LogGate(policy, this.#options.random, () => this.#gates.delete(gate));
    this.#gates.add(gate);
    this.#stopSeconds ??= this.#options.clock.every(1_000, () => this.#nextSecond());
    return gate;
  }

  /** Writes one line. Call it only after `gate.wants()` said so for this request. */
  write(entry: AccessEntry, gate: LogGate): void {
    if (this.#isFull()) return;
    this.#add(this.#line(entry, gate));
  }

  #isFull(): boolean {
    const full = this.#buffer.length >= BUFFER_CHARS_MAX;
    if (full) this.#options.onDropped?.(1);
    return full;
  }

  #add(line: string): void {
    this.#buffer += line;
    this.#lines++;
    if (this.#buffer.length >= BATCH_CHARS) this.flush();
    else this.#stopFlushing ??= this.#options.clock.after(this.#options.flushMs ?? FLUSH_MS, () => this.flush());
  }

  /** A line of another kind, made by `line` of the time at which it began. The gate was asked before. */
  writeLine(durationMs: number, line: (time: string) => string): void {
    if (this.#isFull()) return;
    this.#add(line(this.#stamp.format(this.#options.clock.wallMs() - durationMs)));
  }

  /** Hands over what is waiting, unless the batch before is still being written. */
  flush(): void {
    this.#stopFlushing?.();
    this.#stopFlushing = undefined;
    if (this.#flushing || this.#lines === 0) return;
    const batch = this.#buffer;
    const lines = this.#lines;
    this.#buffer = '';
    this.#lines = 0;
    const done = this.#options.flush(batch);
    if (done === undefined) {
      this.#options.onWritten?.(lines);
      return;
    }
    this.#flushing = true;
    done.then(
      () => this.#flushed(() => this.#options.onWritten?.(lines)),
      () => this.#flushed(() => this.#options.onDropped?.(lines)),
    );
  }

  /** Writes what is left and stops the timers. */
  close(): void {
    this.flush();
    this.#stopSeconds?.();
    this.#stopSeconds = undefined;
  }

  #flushed(count: () => void): void {
    this.#flushing = false;
    count();
    this.flush();
  }

  #nextSecond(): void {
    for (const gate of this.#gates) gate.refill();
    if (this.#gates.size > 0) return;
    this.#stopSeconds?.();
    this.#stopSeconds = undefined;
  }

  #line(entry: AccessEntry, gate: LogGate): string {
    const { marks, fault } = entry;
    const parts = latencyParts(marks);
    const time = this.#stamp.format(this.#options.clock.wallMs() - parts.durationUs / 1_000);
    let line = `{"time":"${time}","request_id":${quote(entry.requestId, 128)}`;
    if (entry.traceId !== '') line += `,"trace_id":${quote(entry.traceId, 32)}`;
    line += `,"method":${quote(entry.method, 32)},"scheme":${quote(entry.scheme, 8)},"host":${quote(entry.host, 255)}`;
    line += `,"path":${quote(entry.path, PATH_CHARS_MAX)}`;
    if (gate.keepsQuery && entry.query !== '') line += `,"query":${quote(entry.query, PATH_CHARS_MAX)}`;
    line += `,"status":${integer(entry.status)}`;
    if (entry.grpcStatus >= 0) line += `,"rpc_grpc_status_code":${integer(entry.grpcStatus)}`;
    if (fault !== undefined) line += faultFields(fault);
    const names = this.#names;
    line += `,"rule":${names.quote(entry.rule)},"cluster":${names.quote(entry.cluster)}`;
    line += `,"endpoint":${names.quote(entry.endpoint)},"attempts":${integer(entry.attempts)}`;
    line += `,"listener":${names.quote(entry.listener)}`;
    line += `,"client_ip":${quote(entry.clientIp, 64)}`;
    if (entry.proxyIp !== '') line += `,"proxy_ip":${quote(entry.proxyIp, 64)}`;
    if (entry.identity !== undefined) line += identityFields(entry.identity);
    if (entry.notes !== undefined) line += notesField(entry.notes);
    line += `,"bytes_in":${integer(entry.bytesIn)},"bytes_out":${integer(entry.bytesOut)}`;
    line += gate.headerFields(entry.headers);
    if (entry.tlsVersion !== '') {
      line += `,"tls_version":${quote(entry.tlsVersion, 16)},"tls_cipher":${quote(entry.tlsCipher, 64)}`;
    }
    if (entry.clientCertificate !== undefined) line += certificateFields(entry.clientCertificate);
    line += `,"plan":${quote(entry.planVersion.slice(0, 12), 12)},"sample_weight":${integer(gate.weight)}`;
    for (const field of LATENCY_FIELDS) {
      const partUs = parts[field.part];
      if (partUs > 0 || field.always) line += `,"${field.name}":${milliseconds(partUs)}`;
    }
    return `${line},"duration_ms":${milliseconds(parts.durationUs)}}\n`;
  }
}

/** Of a connection: the same for all its requests. */
const CERTIFICATE_FIELDS = new WeakMap<ClientCertificate, string>();

function certificateFields(certificate: ClientCertificate): string {
  let fields = CERTIFICATE_FIELDS.get(certificate);
  if (fields === undefined) {
    fields = peerField(certificate) + certificateField(certificate);
    CERTIFICATE_FIELDS.set(certificate, fields);
  }
  return fields;
}

/** The workload at the other end, as both kinds of line say it; empty where the peer is none. */
export function peerField(certificate: ClientCertificate | undefined): string {
  const workload = workloadOf(certificate);
  return workload === undefined ? '' : `,"peer":${quote(workload.id, NAME_CHARS_MAX)}`;
}

function certificateField({ subject, dns, uri, fingerprint }: ClientCertificate): string {
  const names = [...uri, ...dns].slice(0, CERTIFICATE_NAMES_MAX).map((name) => quote(name, CERTIFICATE_NAME_CHARS_MAX));
  const san = names.length === 0 ? '' : `"san":[${names.join(',')}],`;
  return `,"client_cert":{"subject":${quote(subject, CERTIFICATE_NAME_CHARS_MAX)},${san}"fingerprint":"${fingerprint}"}`;
}

/** Names of one certificate that are written, and the length of each: some have hundreds. */
const CERTIFICATE_NAMES_MAX = 8;
const CERTIFICATE_NAME_CHARS_MAX = 255;

/** One allowance: the lines of this second, then a sample whose weights add up to the requests it stands for. */
class Lane {
  readonly #linesPerSecond: number;
  readonly #sample: number;
  readonly #random: Random;
  #left: number;
  /** Requests until the next sampled one, and how many it stands for. */
  #gap = 0;
  #gapLeft = 0;

  constructor({ linesPerSecond, sample }: LogPolicy, random: Random) {
    this.#linesPerSecond = linesPerSecond;
    this.#sample = sample;
    this.#random = random;
    this.#left = linesPerSecond;
    this.#draw();
  }

  /** How many requests the line of this request stands for; 0 when it has none. */
  weigh(): number {
    if (this.#left > 0) {
      this.#left--;
      return 1;
    }
    if (--this.#gapLeft > 0) return 0;
    const weight = this.#gap;
    this.#draw();
    return weight;
  }

  refill(): void {
    this.#left = this.#linesPerSecond;
  }

  /** A gap of 1/sample on average, uniform so that no rhythm of the traffic can hide from it. */
  #draw(): void {
    const mean = 1 / this.#sample;
    this.#gap = mean === Infinity ? Infinity : Math.max(1, Math.round(1 + this.#random.unit() * (mean - 1) * 2));
    this.#gapLeft = this.#gap;
  }
}

/** Decides for one listener which requests get a line. */
export class LogGate {
  readonly keepsQuery: boolean;
  /** How many requests the line stands for that `wants` said yes to last. */
  weight = 1;
  readonly #enabled: boolean;
  readonly #usual: Lane;
  readonly #failed: Lane;
  readonly #headers: readonly LoggedHeader[];
  readonly #onClose: () => void;

  constructor(policy: LogPolicy, random: Random, onClose: () => void) {
    this.#enabled = policy.enabled;
    this.keepsQuery = policy.query === 'keep';
    this.#usual = new Lane(policy, random);
    this.#failed = new Lane(policy, random);
    this.#headers = policy.headers.map((name) => ({ name, field: headerField(name), redacted: isSecretName(name) }));
    this.#onClose = onClose;
  }

  /** Whether this request gets a line. Call once per request, at its end: it counts. */
  wants(status: number, fault: Fault | undefined): boolean {
    if (!this.#enabled) return false;
    const weight = fault !== undefined || status >= 500 ? this.#failed.weigh() : this.#usual.weigh();
    if (weight === 0) return false;
    this.weight = weight;
    return true;
  }

  /** For {@link AccessLog}: a new second began. */
  refill(): void {
    this.#usual.refill();
    this.#failed.refill();
  }

  /** For {@link AccessLog}: `,"user_agent":"…","header_x_foo":"…"`, or nothing. */
  headerFields(headers: Headers | undefined): string {
    if (headers === undefined) return '';
    const userAgent = headers.get('user-agent');
    let fields = userAgent === undefined ? '' : `,"user_agent":${quote(userAgent, HEADER_CHARS_MAX)}`;
    for (const { name, field, redacted } of this.#headers) {
      const value = headers.combined(name);
      if (value !== undefined) fields += `,${field}:${redacted ? '"[redacted]"' : quote(value, HEADER_CHARS_MAX)}`;
    }
    return fields;
  }

  close(): void {
    this.#onClose();
  }
}

interface LoggedHeader {
  readonly name: string;
  readonly field: string;
  readonly redacted: boolean;
}

const SECRET_NAMES: readonly string[] = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'x-api-key',
  'api-key',
  'apikey',
  'x-amz-security-token',
];

/** Whether the value of this header must never be printed. */
export function isSecretName(lowerName: string): boolean {
  return SECRET_NAMES.includes(lowerName) || /token|secret|password|passwd|credential|session/.test(lowerName);
}

/** `x-tenant` is logged as `header_x_tenant`. */
/** What went wrong, as both kinds of line say it. */
export function faultFields({ code, blame, detail }: Fault): string {
  return `,"fault":"${code}","blame":"${blame}","detail":${quote(detail, DETAIL_CHARS_MAX)}`;
}

function headerField(name: string): string {
  return quote(`header_${name.replaceAll('-', '_')}`, HEADER_CHARS_MAX);
}

const PATH_CHARS_MAX = 2_048;
const HEADER_CHARS_MAX = 512;
const DETAIL_CHARS_MAX = 1_024;
/** Three names of Kubernetes with a kind: the longest key of a plan. */
export const NAME_CHARS_MAX = 1_024;
const QUOTED_NAMES_MAX = 4_096;

/** What must not stand in a line as it is: quotes, backslashes, control bytes, and all that is not ASCII. */
const SPECIAL = /[^ !#-[\]-~]/;
const UNSAFE = /["\\\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]/g;

/**
 * A JSON string of at most `charsMax` characters, cut with `…`.
 *
 * Text from the wire is latin1: bytes above 0x7f are read as UTF-8 where that is
 * what they are. Controls, also those above ASCII that move a terminal's cursor
 * or turn the direction of writing, are escaped: nobody can forge a line.
 */
export function quote(text: string, charsMax: number): string {
  const tail = text.length > charsMax ? '…"' : '"';
  const cut = text.length > charsMax ? text.slice(0, charsMax) : text;
  if (!SPECIAL.test(cut)) return `"${cut}${tail}`;
  return `"${fromLatin1(cut).replace(UNSAFE, escape)}${tail}`;
}

function fromLatin1(text: string): string {
  if (/[^\u0000-\u00ff]/.test(text) || !/[\u0080-\u00ff]/.test(text)) return text;
  const bytes = Buffer.from(text, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : text;
}

function escape(char: string): string {
  if (char === '"' || char === '\\') return `\\${char}`;
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** A number of ours; anything that JSON cannot hold prints as 0. */
function integer(value: number): string {
  return Number.isFinite(value) ? String(Math.round(value)) : '0';
}

/** Names of the plan as JSON strings. There are few and they come again and again: looking one up is cheaper. */
class QuotedNames {
  readonly #quoted = new Map<string, string>();

  quote(name: string): string {
    let quoted = this.#quoted.get(name);
    if (quoted === undefined) {
      quoted = quote(name, NAME_CHARS_MAX);
      if (this.#quoted.size >= QUOTED_NAMES_MAX) this.#quoted.clear();
      this.#quoted.set(name, quoted);
    }
    return quoted;
  }
}

/** RFC 3339 with milliseconds. The text up to the second is kept: most lines share it. */
class Stamp {
  #second = -1;
  #text = '';

  format(wallMs: number): string {
    const whole = Math.round(wallMs);
    const second = Math.floor(whole / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = new Date(second * 1_000).toISOString().slice(0, 20);
    }
    return `${this.#text}${THOUSANDTHS[whole - second * 1_000]}Z`;
  }
}

const SUBJECT_CHARS_MAX = 256;
const NOTE_CHARS_MAX = 256;

function identityFields({ methods, subject, consumer }: LoggedIdentity): string {
  const known = `,"auth_method":${quote(methods.join('+'), 64)},"subject":${quote(subject, SUBJECT_CHARS_MAX)}`;
  return consumer === undefined ? known : `${known},"consumer":${quote(consumer.name, SUBJECT_CHARS_MAX)}`;
}

function notesField(notes: readonly string[]): string {
  let said = '';
  for (let i = 0; i < notes.length; i += 2) {
    said += `${i === 0 ? '' : ','}${quote(notes[i]!, 64)}:${quote(notes[i + 1]!, NOTE_CHARS_MAX)}`;
  }
  return `,"filters":{${said}}`;
}

/**
 * The instances of one service in a catalog of Consul, watched by blocking queries: a question is answered when something
 * has changed, or after its wait. When no agent answers, what was said last stays; also when it answers with nothing because the
 * ACL token may see nothing, which comes with status 200.
 *
 * @see https://developer.hashicorp.com/consul/api-docs/health and /api-docs/features/blocking
 */
import http from 'node:http';
import https from 'node:https';
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';

export interface CatalogService {
  /** `http://127.0.0.1:8500` */
  readonly address: string;
  readonly service: string;
  readonly datacenter: string | undefined;
  readonly namespace: string | undefined;
  readonly tags: readonly string[];
  /** ACL token; in a header and nowhere else. */
  readonly token: string | undefined;
  /** PEM bundles; empty for the roots of the system. */
  readonly cas: readonly string[];
}

export interface CatalogInstance {
  /** IP address or a name of DNS. */
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly zone?: string;
}

export interface CatalogState {
  /** Sorted; the same list as before when nothing changed. Undefined before the first answer. */
  readonly instances: readonly CatalogInstance[] | undefined;
  /** Why the last question was not answered, or not in full, and what to do; undefined when it was. */
  readonly failure: string | undefined;
}

export interface CatalogOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Called when the instances are others than before, or the failure is. */
  readonly onChange: () => void;
}

/** How long an agent may keep us waiting for a change. It adds up to a sixteenth of its own. */
const WAIT_MS = 60_000;
const ANSWER_MS_MAX = WAIT_MS + WAIT_MS / 16 + 10_000;

/** A service that changes all the time is asked for no more often. */
const PAUSE_MS = 100;

const RETRY_FIRST_MS = 500;
const RETRY_MS_MAX = 30_000;

const ANSWER_BYTES_MAX = 16 * 1_048_576;

/** Instances of one service that are used. */
const INSTANCES_MAX = 1_000;

interface Answer {
  readonly index: number;
  readonly instances: readonly CatalogInstance[];
  /** The ACL token may not see all that there is. */
  readonly isFiltered: boolean;
}

/** A question without an answer that could be used. */
class Unanswered extends Error {
  /** What the ACL token lacks, rather than the agent. */
  readonly isDenied: boolean;

  constructor(message: string, { isDenied = false }: { readonly isDenied?: boolean } = {}) {
    super(message);
    this.isDenied = isDenied;
  }
}

export class CatalogWatch {
  readonly #service: CatalogService;
  readonly #options: CatalogOptions;
  #state: CatalogState = { instances: undefined, failure: undefined };
  readonly #answered = Promise.withResolvers<void>();
  #index = 0;
  #failures = 0;
  #stop: () => void = () => undefined;
  #isStopped = false;

  constructor(service: CatalogService, options: CatalogOptions, before?: CatalogState) {
    this.#service = service;
    this.#options = options;
    if (before !== undefined) this.#state = before;
  }

  get state(): CatalogState {
    return this.#state;
  }

  /** Resolves when the first question was answered, or could not be. */
  get answered(): Promise<void> {
    return this.#answered.promise;
  }

  start(): void {
    if (this.#isStopped) return;
    const asked = ask(this.#service, this.#index, this.#options.clock);
    this.#stop = asked.cancel;
    asked.answer.then(
      (answer) => this.#onAnswer(answer),
      (error: unknown) => this.#onFailure(error instanceof Error ? error : new Error(String(error))),
    );
  }

  stop(): void {
    this.#isStopped = true;
    this.#stop();
    this.#answered.resolve();
  }

  #onAnswer({ index, instances, isFiltered }: Answer): void {
    if (this.#isStopped) return;
    // An index that goes backwards, or is none, would wait for something that has been.
    this.#index = index < this.#index || index < 1 ? 0 : index;
    const before = this.#state.instances;
    const isSame = before !== undefined && JSON.stringify(before) === JSON.stringify(instances);
    const failure = isFiltered ? `it hides some instances from the ACL token: ${this.#remedy()}` : undefined;
    this.#failures = 0;
    this.#set({ instances: isSame ? before : instances, failure });
    // Without an index nothing waits: then the question is asked as often as a slow one would be.
    this.#again(this.#index === 0 ? RETRY_MS_MAX : PAUSE_MS);
  }

  #onFailure(error: Error): void {
    if (this.#isStopped) return;
    const isDenied = error instanceof Unanswered && error.isDenied;
    this.#index = 0;
    const delayMs = Math.min(RETRY_MS_MAX, RETRY_FIRST_MS * 2 ** Math.min(10, this.#failures));
    this.#failures++;
    this.#set({ ...this.#state, failure: isDenied ? `${error.message}: ${this.#remedy()}` : error.message });
    this.#again(delayMs);
  }

  #set(state: CatalogState): void {
    const { instances, failure } = this.#state;
    this.#state = state;
    this.#answered.resolve();
    if (instances !== state.instances || failure !== state.failure) this.#options.onChange();
  }

  #remedy(): string {
    const { service, token } = this.#service;
    const rules = `service:read of "${service}" and node:read of its nodes`;
    return token === undefined ? `name one that has ${rules} in tokenRef` : `give it ${rules}`;
  }

  /** Up to a tenth early or late, so that many watches do not fall into step. */
  #again(delayMs: number): void {
    const { clock, random } = this.#options;
    this.#stop = clock.after(delayMs * (0.9 + random.unit() / 5), () => this.start());
  }
}

function ask(
  service: CatalogService,
  index: number,
  clock: Clock,
): { readonly answer: Promise<Answer>; readonly cancel: () => void } {
  const { promise: answer, resolve, reject } = Promise.withResolvers<Answer>();
  const { address, token, cas } = service;
  const url = new URL(pathOf(service, index), address);
  const headers = { accept: 'application/json', ...(token !== undefined && { 'x-consul-token': token }) };
  const request =
    url.protocol === 'https:'
      ? https.get(url, { headers, agent: false, ...(cas.length > 0 && { ca: [...cas] }) })
      : http.get(url, { headers, agent: false });
  const cancelTimer = clock.after(ANSWER_MS_MAX, () =>
    request.destroy(new Unanswered(`it does not answer in ${ANSWER_MS_MAX / 1_000} s`)),
  );
  request.on('error', reject);
  request.on('response', (response) => {
    const pieces: Buffer[] = [];
    let bytes = 0;
    response.on('data', (piece: Buffer) => {
      bytes += piece.length;
      if (bytes > ANSWER_BYTES_MAX)
        request.destroy(new Unanswered(`its answer is longer than ${ANSWER_BYTES_MAX} bytes`));
      else pieces.push(piece);
    });
    response.on('error', reject);
    response.on('end', () => {
      const read = readAnswer(response, Buffer.concat(pieces).toString('utf8'));
      if (read instanceof Error) reject(read);
      else resolve(read);
    });
  });
  request.on('close', cancelTimer);
  return { answer, cancel: () => request.destroy(new Error('It is not asked for any more')) };
}

function pathOf({ service, datacenter, namespace, tags }: CatalogService, index: number): string {
  const query = new URLSearchParams({ passing: '1', index: String(index), wait: `${WAIT_MS / 1_000}s` });
  if (datacenter !== undefined) query.set('dc', datacenter);
  if (namespace !== undefined) query.set('ns', namespace);
  for (const tag of tags) query.append('tag', tag);
  return `/v1/health/service/${encodeURIComponent(service)}?${query.toString()}`;
}

/** What a refusal says of itself is left out: agents repeat the token in some of them. */
function readAnswer({ statusCode, headers }: http.IncomingMessage, text: string): Answer | Unanswered {
  if (statusCode === 403) return new Unanswered('it does not answer the ACL token (403)', { isDenied: true });
  if (statusCode !== 200) return new Unanswered(`it answers with status ${statusCode}`);
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch {
    return new Unanswered('its answer is not JSON');
  }
  if (!Array.isArray(entries)) return new Unanswered('its answer is no list');
  const isFiltered = headers['x-consul-results-filtered-by-acls'] === 'true';
  if (isFiltered && entries.length === 0) {
    return new Unanswered('it hides all instances from the ACL token', { isDenied: true });
  }
  const instances = entries.flatMap((entry) => readInstance(entry)).toSorted(byPlace);
  const unique = instances.filter((one, i) => i === 0 || byPlace(one, instances[i - 1]!) !== 0);
  const index = Number(headers['x-consul-index']);
  return {
    index: Number.isSafeInteger(index) ? index : 0,
    instances: unique.slice(0, INSTANCES_MAX),
    isFiltered,
  };
}

function readInstance(entry: unknown): CatalogInstance[] {
  const service = fieldsOf(fieldsOf(entry)['Service']);
  const node = fieldsOf(fieldsOf(entry)['Node']);
  const address = [service['Address'], node['Address']].find((one) => typeof one === 'string' && one !== '');
  const { Port: port } = service;
  const weight = fieldsOf(service['Weights'])['Passing'];
  if (typeof address !== 'string' || typeof port !== 'number' || port < 1 || port > 65_535) return [];
  const zone = zoneOf(service['Locality']) ?? zoneOf(node['Locality']);
  return [
    {
      address,
      port,
      weight: typeof weight === 'number' && weight >= 0 ? Math.min(1_000_000, Math.floor(weight)) : 1,
      ...(zone !== undefined && { zone }),
    },
  ];
}

function zoneOf(locality: unknown): string | undefined {
  const { Region: region, Zone: zone } = fieldsOf(locality);
  const parts = [region, zone].filter((part) => typeof part === 'string' && part !== '');
  return parts.length === 0 ? undefined : parts.join('/');
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function byPlace(a: CatalogInstance, b: CatalogInstance): number {
  return (a.address < b.address ? -1 : a.address > b.address ? 1 : 0) || a.port - b.port;
}

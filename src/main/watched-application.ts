/** The application beside the proxy: others are told of it while it is well, and when it is known what it speaks. */
import { connect } from 'node:net';
import { systemClock } from '../base/clock.ts';
import type { LearnedSpeech, Plan } from '../ir/plan.ts';
import type { WorkloadReport } from '../push/messages.ts';
import { ApplicationHealth } from '../sidecar/application-health.ts';
import { findSpeech, undeclaredPorts } from '../sidecar/port-speech.ts';
import type { SidecarSettings } from './sidecar.ts';

export interface WatchedApplicationParts {
  report(said: { readonly kind: 'workload' } & WorkloadReport): void;
  /** That is served; undefined before the first. */
  plan(): Plan | undefined;
  /** Whether the port is open at which others reach it. */
  isOpen(): boolean;
}

const CLOCK = systemClock;

const PROBE_MS = 1_000;

/** After a port that was there could not be asked what it speaks. */
const AGAIN_MS = 1_000;

export class WatchedApplication {
  readonly #settings: SidecarSettings;
  readonly #parts: WatchedApplicationParts;
  readonly #health: ApplicationHealth;
  /** What ports speak of which nobody has said it. */
  readonly #speech = new Map<number, LearnedSpeech>();
  #said: WorkloadReport['health'] | undefined;
  #saidText = '';
  #isAsking = false;
  #isClosed = false;

  constructor(settings: SidecarSettings, parts: WatchedApplicationParts) {
    this.#settings = settings;
    this.#parts = parts;
    let wasWell = false;
    this.#health = new ApplicationHealth({
      clock: CLOCK,
      probe: () => probePorts(Object.values(settings.ports)),
      onChange: (wrong) => {
        // One that starts beside its sidecar is not there at once.
        if (wrong !== undefined && !wasWell) settings.log.info(`The application does not answer yet: ${wrong}`);
        else if (wrong !== undefined) settings.log.warn(`The application does not answer: ${wrong}`);
        wasWell ||= wrong === undefined;
        this.#tell();
      },
    });
  }

  /** The first plan opens the port, and what the control plane knows of its ports is in each. */
  planChanged(): void {
    if (this.#said !== undefined) this.#tell();
  }

  farewell(): void {
    this.close();
    this.#report('draining');
  }

  close(): void {
    this.#isClosed = true;
    this.#health.close();
  }

  #tell(): void {
    if (this.#isClosed) return;
    const ports = undeclaredPorts(this.#parts.plan() ?? { listeners: {}, clusters: {} });
    // Whoever was first has the word, so that all instances are taken for the same.
    for (const { port, speech } of ports) if (speech !== 'unknown') this.#speech.set(port, speech);
    const unknown = ports.flatMap(({ port, speech }) => (speech === 'unknown' ? [port] : []));
    const { isWell } = this.#health;
    // Nobody is sent to a port before all know what it speaks. One that serves others already goes on doing so.
    const isKnown = unknown.length === 0 || this.#said === 'healthy';
    this.#report(isWell && isKnown && this.#parts.isOpen() ? 'healthy' : 'unhealthy');
    const open = unknown.filter((port) => !this.#speech.has(port));
    if (isWell && open.length > 0 && !this.#isAsking) void this.#ask(open);
  }

  async #ask(ports: readonly number[]): Promise<void> {
    this.#isAsking = true;
    const found = await Promise.all(ports.map((port) => findSpeech(port, CLOCK)));
    this.#isAsking = false;
    for (const [i, port] of ports.entries()) {
      const speech = found[i];
      if (speech === undefined) continue;
      this.#speech.set(port, speech);
      this.#settings.log.info(`Port ${port} of the application was found to speak ${speech}`, { port, speech });
    }
    if (found.includes(undefined)) CLOCK.after(AGAIN_MS, () => this.#tell());
    else this.#tell();
  }

  #report(health: WorkloadReport['health']): void {
    this.#said = health;
    if (Object.keys(this.#settings.ports).length === 0) return;
    const said = { kind: 'workload' as const, ...this.#workload(), health };
    const text = JSON.stringify(said);
    if (text === this.#saidText) return;
    this.#saidText = text;
    this.#parts.report(said);
  }

  #workload(): Omit<WorkloadReport, 'health'> {
    const { id, ports, address, proxyPort, zone } = this.#settings;
    return {
      service: id.account,
      namespace: id.namespace,
      address,
      ports: Object.entries(ports).map(([name, port]) => ({ name, port, protocol: this.#speech.get(port) ?? '' })),
      proxyPort,
      zone,
    };
  }
}

/** What is wrong with the first port that does not take a connection. */
async function probePorts(ports: readonly number[]): Promise<string | undefined> {
  const answers = await Promise.all(ports.map(probePort));
  return answers.find((wrong) => wrong !== undefined);
}

function probePort(port: number): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const socket = connect({ host: '127.0.0.1', port });
  const settle = (wrong: string | undefined): void => {
    cancel();
    socket.destroy();
    resolve(wrong);
  };
  const cancel = CLOCK.after(PROBE_MS, () => settle(`nothing on port ${port} after ${PROBE_MS} ms`));
  socket.once('connect', () => settle(undefined));
  socket.once('error', (error: NodeJS.ErrnoException) => settle(`port ${port}: ${error.code}`));
  return promise;
}

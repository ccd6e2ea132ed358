/** What is said once everything serves. */
import { portKey } from '../ir/key.ts';
import type { Plan, PlanPort } from '../ir/plan.ts';
import type { PortState, PortStates } from '../ir/port-state.ts';
import type { Running } from './running.ts';

export interface Ready {
  readonly event: 'ready';
  /** First 12 digits of the plan's version. */
  readonly plan: string;
  /** `http://0.0.0.0:8080`. */
  readonly listening: readonly string[];
  /** `http://127.0.0.1:9900`; absent when there is no admin API. */
  readonly admin?: string;
  readonly workers: number;
  readonly routes: number;
  readonly problems: number;
  readonly pid: number;
}

export function readyOf(running: Running, workers: number): Ready {
  const plan = running.plan();
  const { admin } = running;
  return {
    event: 'ready',
    plan: plan?.version.slice(0, 12) ?? '',
    listening: urlsOf(plan, running.ports()),
    ...(admin === undefined ? {} : { admin: urlOf('http', admin) }),
    workers,
    routes: Object.keys(plan?.routes ?? {}).length + Object.keys(plan?.streams ?? {}).length,
    problems: running.problems().problems.length,
    pid: process.pid,
  };
}

/** Of the ports of a plan that are bound. */
export function urlsOf(plan: Plan | undefined, ports: PortStates): string[] {
  const bound = Object.entries(ports).filter(([, { state }]) => state === 'bound');
  return bound.map(([key, port]) => urlOf(SCHEMES[plan?.ports[key]?.protocol ?? 'http'], port));
}

/** A port with TLS has most often HTTPS on it. */
const SCHEMES: Readonly<Record<PlanPort['protocol'], string>> = {
  http: 'http',
  proxy: 'http',
  tls: 'https',
  tcp: 'tcp',
  udp: 'udp',
};

/** For somebody before a terminal. @param source  the path as it was given */
export function bannerLines(ready: Ready, source: string): string[] {
  const { listening, admin, routes, problems, workers, plan } = ready;
  return [
    '',
    `  Fourways serves ${source}`,
    ...(listening.length === 0 ? ['  Nothing is listened on: no listener of the configuration can be served'] : []),
    ...listening.map((url) => `    ${url}`),
    ...(admin === undefined ? [] : [`    ${admin}  admin: /status /metrics /plan /problems`]),
    `  ${count(routes, 'route')}, ${count(workers, 'worker')}, plan ${plan}`,
    ...(problems === 0 ? [] : [`  ${count(problems, 'problem')}: "fourways check ${source}" lists them`]),
    '  Changes of the configuration are served as they are saved. Ctrl-C ends.',
    '',
  ];
}

function urlOf(scheme: string, { address, port }: Pick<PortState, 'address' | 'port'>): string {
  return `${scheme}://${portKey(address, port)}`;
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? '' : 's'}`;
}

/**
 * How long an application keeps connections that nobody uses, beside how long the proxy does. One that ends them first,
 * without saying so, ends some of them while a request is on its way.
 */
import type { Plan } from '../ir/plan.ts';
import type { Row } from './doctor-row.ts';
import type { Machine } from './machine.ts';

/** What BackendPolicies say if they say nothing (compile/defaults.ts). */
const KEPT_MS_DEFAULT = 55_000;

/** The proxy lets go half of it before, and of a second at the most: so little is hardly worth a connection. */
const SHORT_MS = 2_000;

const HOST = '127.0.0.1';

export async function applicationRow(machine: Machine, port: number, plan: Plan | undefined): Promise<Row> {
  const check = 'application';
  const at = `${HOST}:${port}`;
  const kept = await machine.keepOpen({ host: HOST, port });
  if (typeof kept === 'string') {
    const fix = `curl -v http://${at}/; start it, or name the port that it listens on`;
    return { check, level: 'problem', found: `${at} gives no answer: ${kept}`, fix };
  }
  const ours = keptMs(plan, port);
  const { closes, saysMs, endedAfterMs, watchedMs } = kept;
  const raise = `server.keepAliveTimeout = ${ours + 5_000} in Node.js`;
  if (closes) {
    const found = `${at} ends each connection after its answer: every request makes a new one`;
    return { check, level: 'warning', found, fix: `let it keep connections: HTTP/1.1 without "Connection: close"` };
  }
  if (saysMs !== undefined) {
    const found = `${at} says that it keeps unused connections for ${seconds(saysMs)}`;
    if (saysMs >= ours) return { check, level: 'ok', found: `${found}, we for ${seconds(ours)}` };
    if (saysMs > SHORT_MS) {
      return { check, level: 'ok', found: `${found}: heeded, instead of our ${seconds(ours)}` };
    }
    return { check, level: 'warning', found: `${found}: hardly any is used again`, fix: raise };
  }
  if (endedAfterMs !== undefined && endedAfterMs < ours) {
    return {
      check,
      level: 'problem',
      found: `${at} ends unused connections after ${seconds(endedAfterMs)} and does not say so, we keep them for ${seconds(ours)}: requests meet the end, and those that cannot be repeated are answered 502`,
      fix: `${raise}, or keepAlive: ${seconds(Math.max(1_000, endedAfterMs / 2))} in a BackendPolicy for the Service`,
    };
  }
  return { check, level: 'ok', found: `${at} keeps unused connections for longer than ${seconds(watchedMs)}` };
}

/** The shortest of who calls this port of the host. */
function keptMs(plan: Plan | undefined, port: number): number {
  const times = Object.values(plan?.clusters ?? {}).flatMap(({ endpoints, settings }) =>
    endpoints.some((one) => one.port === port && (one.address === HOST || one.address === '::1'))
      ? [settings.keepAliveMs]
      : [],
  );
  return times.length === 0 ? KEPT_MS_DEFAULT : Math.min(...times);
}

function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10}s`;
}

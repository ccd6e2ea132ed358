/** The rules of Gateway and ListenerSet that their CRDs say in CEL. Conflicts between listeners are the compiler's. */
import { isIP } from 'node:net';
import { HOSTNAME_PATTERN } from '../fields.ts';
import type { Finding } from '../kind.ts';
import { finding } from '../rules.ts';
import type { GatewaySpec, Listener } from './gateway.ts';

export function gatewayRules({ spec }: { readonly spec: GatewaySpec }): Finding[] {
  return [...listenerRules(spec.listeners), ...addressRules(spec.addresses)];
}

export function listenerRules(listeners: readonly Listener[]): Finding[] {
  return listeners.flatMap((listener, i) => oneListenerRules(listener, `/spec/listeners/${i}`));
}

function oneListenerRules({ name, protocol, hostname, tls }: Listener, pointer: string): Finding[] {
  const findings: Finding[] = [];
  const say = (field: string, message: string): number => findings.push(finding(`${pointer}${field}`, message));
  if (tls !== undefined && (protocol === 'HTTP' || protocol === 'TCP' || protocol === 'UDP')) {
    say('/tls', `Expected no tls with protocol ${protocol}: remove it, or set protocol to "HTTPS"`);
  }
  if (protocol === 'HTTPS' && tls?.mode === 'Passthrough') {
    say(
      '/tls/mode',
      'Expected "Terminate" with protocol HTTPS, got "Passthrough": TLS is passed on with protocol "TLS"',
    );
  }
  if (protocol === 'TLS' && tls === undefined) {
    say('/tls', `Missing field "tls": listener "${name}" of protocol TLS needs tls.mode`);
  }
  if (hostname !== undefined && (protocol === 'TCP' || protocol === 'UDP')) {
    say('/hostname', `Expected no hostname with protocol ${protocol}: remove it`);
  }
  const options = Object.keys(tls?.options ?? {}).length;
  const terminates = tls?.mode === 'Terminate' && (protocol === 'HTTPS' || protocol === 'TLS');
  if (terminates && tls.certificateRefs.length === 0 && options === 0) {
    say('/tls/certificateRefs', 'Missing field "certificateRefs": mode Terminate needs at least one certificate');
  }
  return findings;
}

const HOSTNAME = new RegExp(HOSTNAME_PATTERN);

function addressRules(addresses: GatewaySpec['addresses']): Finding[] {
  const seen = new Map<string, number>();
  return addresses.flatMap(({ type, value }, i) => {
    const pointer = `/spec/addresses/${i}/value`;
    if (value === undefined || value === '') return [];
    if (type === 'IPAddress' && isIP(value) === 0) return [finding(pointer, `Expected an IP address, got "${value}"`)];
    if (type === 'Hostname' && !HOSTNAME.test(value)) {
      return [finding(pointer, `Expected a lower-case host name, got "${value}"`)];
    }
    const first = seen.get(`${type} ${value}`);
    seen.set(`${type} ${value}`, first ?? i);
    const counts = type === 'IPAddress' || type === 'Hostname';
    return first !== undefined && counts
      ? [finding(pointer, `Duplicate address "${value}": item ${first} has it already`)]
      : [];
  });
}

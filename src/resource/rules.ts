/** Rules that several kinds share; each gives findings below a pointer. */
import { isIP } from 'node:net';
import type { Finding } from './kind.ts';

export function finding(pointer: string, message: string): Finding {
  return { pointer, code: 'field.rule', message };
}

interface Reference {
  readonly group?: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly sectionName?: string;
  readonly port?: number;
}

/**
 * References to the same object must differ in `sectionName` or `port`, and all
 * of them must set the same ones: one that names the whole object and one that
 * names a part of it would overlap.
 */
export function distinctReferences(references: readonly Reference[], pointer: string): Finding[] {
  const first = new Map<string, number>();
  const exact = new Map<string, number>();
  const findings: Finding[] = [];
  references.forEach((reference, i) => {
    const { group, kind, namespace, name, sectionName, port } = reference;
    const object = JSON.stringify([group, kind, namespace, name]);
    const same = exact.get(JSON.stringify([object, sectionName, port]));
    exact.set(JSON.stringify([object, sectionName, port]), i);
    const at = first.get(object) ?? i;
    first.set(object, at);
    if (same !== undefined) {
      findings.push(finding(`${pointer}/${i}`, `Duplicate reference to ${kind} "${name}": item ${same} is the same`));
      return;
    }
    for (const part of ['sectionName', 'port'] as const) {
      const [here, there] = [reference[part], references[at]![part]];
      if ((here === undefined) === (there === undefined)) continue;
      const message = `Overlapping references to ${kind} "${name}": items ${at} and ${i} must both have a ${part}, or none of them`;
      findings.push(finding(`${pointer}/${i}`, message));
    }
  });
  return findings;
}

/** The CRDs ask for the port of a Service; other backends may do without. */
export function servicePort(backend: Reference, pointer: string): Finding[] {
  if (backend.group !== '' || backend.kind !== 'Service' || backend.port !== undefined) return [];
  return [finding(`${pointer}/port`, `Missing field "port": Service "${backend.name}" needs the port to use`)];
}

/** An IP address, or a DNS name (RFC 1123). */
export function isAddress(text: string): boolean {
  if (isIP(text) !== 0) return true;
  // Four numbers with dots are an IP address with a mistake in it, not a name.
  return (
    /^(?=.{1,253}$)[A-Za-z0-9_](?:[-A-Za-z0-9_]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9_](?:[-A-Za-z0-9_]{0,61}[A-Za-z0-9])?)*\.?$/.test(
      text,
    ) && !/^[0-9.]+$/.test(text)
  );
}

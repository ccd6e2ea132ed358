/** Checks the short form part by part, so that one wrong route says what is wrong with it and leaves the others. */
import type { Issue } from '../../schema/compile.ts';
import { gotOf, suggestion } from '../../schema/describe.ts';
import { check, type TSchema } from '../../schema/schema.ts';
import { error, escapePointer, type ShortFinding } from './draft.ts';
import { PARTS, type Route, type Service, ShortForm, wrongName } from './schema.ts';

export interface Shape {
  readonly listen: ShortForm['listen'];
  /** Undefined: it is there, and broken. */
  readonly services: Readonly<Record<string, Service | undefined>>;
  readonly routes: readonly (Route | undefined)[];
  readonly policies: Readonly<Record<string, object | undefined>>;
  readonly everywhere: NonNullable<ShortForm['everywhere']>;
  readonly settings: ShortForm['settings'];
  readonly resources: readonly unknown[];
}

type Fields = Readonly<Record<string, unknown>>;

const KEYS = Object.keys(ShortForm.properties);

export function readShape(value: unknown): { readonly form?: Shape; readonly findings: readonly ShortFinding[] } {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    const message = `Expected an object with "listen", "services" and "routes", got ${gotOf(value)}`;
    return { findings: [error('', 'field.type', message)] };
  }
  const reader = new ShapeReader();
  const form = value as Fields;
  for (const key of Object.keys(form)) if (!KEYS.includes(key)) reader.unknown(key);
  return {
    form: {
      listen: reader.part(PARTS.listen, form['listen'], '/listen'),
      services: reader.record(PARTS.service, form['services'], '/services'),
      routes: reader.list(PARTS.route, form['routes'], '/routes'),
      policies: reader.record(PARTS.policy, form['policies'], '/policies'),
      everywhere: reader.part(PARTS.everywhere, form['everywhere'], '/everywhere') ?? [],
      settings: reader.part(PARTS.settings, form['settings'], '/settings'),
      resources: reader.list(PARTS.resource, form['resources'], '/resources'),
    },
    findings: reader.findings,
  };
}

class ShapeReader {
  readonly findings: ShortFinding[] = [];

  unknown(key: string): void {
    const near = suggestion(key, KEYS);
    const hint =
      near === undefined ? `expected one of ${KEYS.map((name) => `"${name}"`).join(', ')}` : `did you mean "${near}"`;
    this.findings.push(error(`/${escapePointer(key)}`, 'field.unknown', `Unknown field "${key}": ${hint}`));
  }

  /** The checked value; undefined when it is absent, or wrong. */
  part<T>(schema: TSchema, value: unknown, pointer: string): T | undefined {
    if (value === undefined || value === null) return undefined;
    const { value: checked, issues } = check(schema, value);
    this.#report(issues, pointer);
    return checked as T | undefined;
  }

  record<T>(schema: TSchema, value: unknown, pointer: string): Record<string, T | undefined> {
    const outer = this.part<Fields>(PARTS.record, value, pointer) ?? {};
    const entries = Object.entries(outer).map(([name, item]): [string, T | undefined] => {
      const at = `${pointer}/${escapePointer(name)}`;
      const wrong = item === null ? `Missing value of "${name}"` : wrongName(name);
      if (wrong === undefined) return [name, this.part<T>(schema, item, at)];
      this.findings.push(error(at, item === null ? 'field.missing' : 'field.pattern', wrong));
      return [name, undefined];
    });
    return Object.fromEntries(entries);
  }

  list<T>(schema: TSchema, value: unknown, pointer: string): (T | undefined)[] {
    const outer = this.part<readonly unknown[]>(PARTS.list, value, pointer) ?? [];
    return outer.map((item, i) => {
      const at = `${pointer}/${i}`;
      if (item !== null) return this.part<T>(schema, item, at);
      this.findings.push(error(at, 'field.missing', 'Missing item: there is nothing behind "-"'));
      return undefined;
    });
  }

  #report(issues: readonly Issue[], pointer: string): void {
    for (const issue of issues) this.findings.push(error(`${pointer}${issue.pointer}`, issue.code, issue.message));
  }
}

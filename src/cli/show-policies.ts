/** `fourways show PATH --policies ROUTE`: who says what of a route, and who is overridden. */
import { nearest } from '../base/problem.ts';
import type { PolicyLine, RulePolicies } from '../compile/policy-view.ts';
import { keyOf } from '../resource/resource.ts';
import { CommandFailure, type ExitCode, type Io, UsageError } from './command.ts';
import { readUsable } from './configuration.ts';
import { placeText } from './plan-text.ts';
import { formatTable } from './table.ts';

interface Asked {
  readonly path: string | undefined;
  /** `HTTPRoute/shop/web`, `shop/web` or `web`. */
  readonly route: string;
  readonly json: boolean;
}

const KINDS = ['HTTPRoute', 'GRPCRoute'];

/** Configurations may hold secrets of no Secret; a table is for a glance. */
const VALUE_CHARS_MAX = 60;

export async function showPolicies({ path, route, json }: Asked, io: Io): Promise<ExitCode> {
  if (path === undefined) throw new UsageError('Option --policies needs a file or folder with the configuration');
  const { resources, compiled } = await readUsable(path, io);
  const keys = resources.filter(({ kind }) => KINDS.includes(kind)).map((resource) => keyOf(resource));
  const key = findRoute(keys, route);
  const rules = compiled.policiesOf(key) ?? [];
  if (json) io.out(JSON.stringify({ route: key, rules }));
  else
    io.out(
      rules.length === 0 ? `${key} is attached to no listener` : rules.map((rule) => ruleText(rule, io)).join('\n\n'),
    );
  return 0;
}

/** @throws {CommandFailure} when none is meant, or several are */
function findRoute(keys: readonly string[], named: string): string {
  const found = keys.filter((key) => key === named || key.endsWith(`/${named}`));
  if (found.length === 1) return found[0]!;
  if (found.length > 1) throw new CommandFailure(`Several routes are named "${named}": ${found.join(', ')}`);
  const names = keys.map((key) => key.slice(key.lastIndexOf('/') + 1));
  const near = nearest(named.slice(named.lastIndexOf('/') + 1), names);
  throw new CommandFailure(`There is no route "${named}"${near === undefined ? '' : `: did you mean "${near}"?`}`);
}

function ruleText({ rule, listener, filters, settings }: RulePolicies, io: Io): string {
  const rows = [...filters, ...settings].map((line) => [
    line.name,
    valueText(line.value),
    line.owner,
    line.target,
    placeText(line.at, io.cwd),
    effectText(line),
  ]);
  const head = `${rule} by ${listener}`;
  if (rows.length === 0) return `${head}\nno policy says anything of it`;
  return `${head}\n${formatTable(['WHAT', 'VALUE', 'OWNER', 'ON', 'AT', 'EFFECT'], rows)}`;
}

function valueText(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > VALUE_CHARS_MAX ? `${text.slice(0, VALUE_CHARS_MAX - 1)}…` : text;
}

function effectText({ overriddenBy, broken, mode }: PolicyLine): string {
  if (broken !== undefined) return `cannot run, the rule answers 500: ${broken}`;
  if (overriddenBy !== undefined) return `overridden by ${overriddenBy}`;
  return mode === 'audit' ? 'audits' : 'acts';
}

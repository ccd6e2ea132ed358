/** What people should know of a proposal before they read it. */
import type { Recording } from '../control/recorder.ts';
import type { Rule } from '../filters/authorize/config.ts';
import type { ObservedCall } from '../ir/observed.ts';
import type { LeftOut, Proposal } from './proposal.ts';

/** Lines of one list. Beyond: how many more. */
const LINES_MAX = 20;

const HEADS: Readonly<Record<keyof LeftOut, string>> = {
  clear: 'In clear text, by nobody knows whom; mtls strict would refuse it:',
  refused: 'Refused already, and not proposed:',
  unwelcome: 'Answered 401, 403, 404 or 405 by the application, and not proposed:',
  unsayable: 'Not proposed, because no rule can name it:',
  unplaced: 'Not proposed, because the Service has several ports and nothing says their names (--config):',
};

export function notesOf(recording: Recording, proposal: Proposal): string[] {
  const { calls, kinds, heard, beyond, unheard, fromMs = 0, untilMs = 0 } = recording;
  const until = recording.state === 'running' ? '' : ` to ${timeText(untilMs)}`;
  const lists = (Object.keys(HEADS) as (keyof LeftOut)[]).flatMap((name) =>
    listed(HEADS[name], proposal[name].map(callText)),
  );
  const unseen = proposal.policies.flatMap(({ namespace, name, unseen: rules }) =>
    rules.map((rule) => `Policy ${namespace}/${name}: ${ruleText(rule)}`),
  );
  const widened = proposal.policies.flatMap(({ namespace, name, widened: places }) =>
    places.map((place) => `Policy ${namespace}/${name}: ${place}*`),
  );
  const full = proposal.policies.flatMap(({ namespace, name, beyond: rules }) =>
    rules > 0 ? [`Policy ${namespace}/${name}: ${rules} rules`] : [],
  );
  return [
    `${calls} calls of ${kinds} kinds by ${heard} sidecars, from ${timeText(fromMs)}${until}`,
    ...listed(
      'Not heard:',
      unheard.map(({ identity, proxy, reason }) => `${identity} (${proxy}): ${reason}`),
    ),
    ...(beyond > 0
      ? [`${beyond} calls are of kinds for which there was no room: they are in no list and in no policy`]
      : []),
    ...lists,
    ...listed('Allowed, and called by nobody (--drop-unseen takes it out):', unseen),
    ...listed('A star, because there were too many names:', widened),
    ...listed('No room in the policy:', full),
    ...(proposal.clear.length === 0 ? ['Nobody has called in clear text'] : []),
  ];
}

function listed(head: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  const more = lines.length - LINES_MAX;
  return [head, ...lines.slice(0, LINES_MAX).map((line) => `  ${line}`), ...(more > 0 ? [`  and ${more} more`] : [])];
}

function callText({ source, service, port, method, path, calls }: ObservedCall): string {
  const what = [method, path].filter((text) => text !== '').join(' ');
  return [`${service}:${port}`, what, source, `${calls} ${calls === 1 ? 'call' : 'calls'}`]
    .filter((text) => text !== '')
    .join('  ');
}

function ruleText({ name, workloads = [], methods = [], paths = [] }: Rule): string {
  return [name ?? '', workloads.join(' '), methods.join(' '), paths.join(' ')].filter((text) => text !== '').join('  ');
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

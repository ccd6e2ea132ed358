import { Fault } from '../../base/fault.ts';
import type { Reply } from '../../filter/filter.ts';
import { FAULTS } from './config.ts';

export function redirect(location: string, cookies: readonly string[]): Reply {
  return {
    kind: 'reply',
    status: 302,
    reason: 'oidc',
    headers: [
      ['location', location],
      ['cache-control', 'no-store'],
      ['referrer-policy', 'no-referrer'],
      ...cookies.map((line) => ['set-cookie', line] as const),
    ],
    body: '',
  };
}

export function tooLarge(): Fault {
  return new Fault(FAULTS['oidc.session-too-large'], 'The session is longer than cookies may be');
}

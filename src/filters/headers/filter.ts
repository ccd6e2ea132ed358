import { FORBIDDEN_FIELDS } from '../../filter/fields.ts';
import type { FilterCode, Filter } from '../../filter/filter.ts';
import { parseAuthority } from '../../http/authority.ts';
import type { Headers } from '../../http/headers.ts';
import type { Changes, HeadersConfig } from './config.ts';

/**
 * Sets, adds and removes fields. A request is changed before it goes upstream,
 * an answer after everything else has put its fields in.
 *
 * @see Gateway API, HTTPHeaderFilter
 */
export const code: FilterCode<typeof HeadersConfig> = {
  make({ request, response }) {
    const filter: Filter = {};
    if (request !== undefined) {
      const edits = editsOf(request);
      const authority = authorityOf(request);
      filter.onRequest = (x) => {
        for (const edit of edits) edit(x.request.headers);
        if (authority !== undefined) x.request.authority = authority;
        return undefined;
      };
    }
    if (response !== undefined) {
      const edits = editsOf(response);
      filter.onResponse = (_, answer) => {
        for (const edit of edits) edit(answer.headers);
      };
    }
    return filter;
  },
};

type Edit = (headers: Headers) => void;

function editsOf({ set, add, remove }: Changes): Edit[] {
  return [
    ...remove.filter(mayChange).map(removing),
    ...set
      .filter(({ name }) => mayChange(name))
      .map(
        ({ name, value }): Edit =>
          (fields) =>
            fields.set(name, value),
      ),
    ...add.filter(({ name }) => mayChange(name)).map(({ name, value }): Edit => appending(name, value)),
  ];
}

function removing(name: string): Edit {
  const lowerName = name.toLowerCase();
  return (fields) => fields.delete(lowerName);
}

/** The schema refuses these names; a plan that holds one all the same must not break the framing of a message. */
function mayChange(name: string): boolean {
  const lowerName = name.toLowerCase();
  return lowerName !== 'host' && !FORBIDDEN_FIELDS.has(lowerName);
}

/** One line `old,new`, as the Gateway API conformance suite reads it. Set-Cookie cannot be joined (RFC 6265 section 3). */
function appending(name: string, value: string): Edit {
  const lowerName = name.toLowerCase();
  if (lowerName === 'set-cookie') return (fields) => fields.add(name, value);
  return (fields) => {
    const old = fields.getAll(lowerName);
    if (old.length === 0) fields.add(name, value);
    else fields.set(name, `${old.join(',')},${value}`);
  };
}

/** A request has one Host, kept apart from its fields: adding one is setting it, and it cannot be removed. */
function authorityOf({ set, add }: Changes): string | undefined {
  const host = [...set, ...add].find(({ name }) => name.toLowerCase() === 'host')?.value;
  return host !== undefined && parseAuthority(host) !== undefined ? host : undefined;
}
